"""Names of people one knows, told by the words around, and names that stay since a work or a brand is meant."""

import pytest

from whimbrel.tools.privacy.find import personal_data


def people(text: str) -> list[str]:
    return [text[span.start : span.end] for span in personal_data(text) if span.kind == "PERSON"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hi its derek fothergill again, is the coat back", "derek fothergill"),
        ("Hello, it's Siobhan Tumelty again about my parcel", "Siobhan Tumelty"),
        ("I, Cornelius Wadebridge, want my money back", "Cornelius Wadebridge"),
        ("Guten Tag, ich bin Hildburg Rademaker und suche einen Krimi", "Hildburg Rademaker"),
        ("hallo, ich bin torsten wiegelmann, suche ein rad", "torsten wiegelmann"),
        ("salut c karim zeroual, vous avez la ps5", "karim zeroual"),
        ("hola soy yolanda pichardo, busco un libro", "yolanda pichardo"),
        ("buenas, le habla hernán ocampo, necesito ayuda", "hernán ocampo"),
        ("ciao sono matteo brambati e voglio un gioco", "matteo brambati"),
        ("Dag, ik ben Liesbeth Vanhoutte, ik zoek een jas", "Liesbeth Vanhoutte"),
    ],
)
def test_people_who_introduce_themselves_need_be_on_no_list(text: str, name: str) -> None:
    assert people(text) == [name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("der nachbar günter stolzenfels hat uns das spiel gezeigt", "günter stolzenfels"),
        ("Unser Hausarzt Wendelin Osterkorn mag Schach", "Wendelin Osterkorn"),
        ("La profesora Remedios Urzaiz quiere una novela", "Remedios Urzaiz"),
        ("il nostro allenatore, Ulderico Panzanella, ama il calcio", "Ulderico Panzanella"),
        ("I just got engaged to Barnaby Thistlewood", "Barnaby Thistlewood"),
        ("seit Mai geschieden von Roswitha Engelbrecht-Lohse", "Roswitha Engelbrecht-Lohse"),
        ("Envíen el regalo a Dolores Fuentealba antes del lunes", "Dolores Fuentealba"),
        ("Bitte schicken Sie das Paket an Adelheid Zumbusch.", "Adelheid Zumbusch"),
        ("the neighbours, the Okonkwos, love it", "Okonkwos"),
        ("wir (die Petersens, Deichweg 3, 25813 Husum) suchen Tee", "Petersens"),
    ],
)
def test_people_of_whom_one_speaks_are_found(text: str, name: str) -> None:
    assert people(text) == [name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Mit freundlichen Grüßen, Gerlinde Pfaffinger, Abonnentin seit 1999", "Gerlinde Pfaffinger"),
        ("Atentamente, Mª José Olazábal", "Mª José Olazábal"),
        ("Saludos, Fco. Javier Urrutia", "Fco. Javier Urrutia"),
        ("groeten van henk de wilde, is de film er al", "henk de wilde"),
        ("overboeken t.n.v. K. Terpstra-Blom graag", "K. Terpstra-Blom"),
        ("z.Hd. Gotthilf Meringer, dritter Stock", "Gotthilf Meringer"),
        ("c/o Lavinia Prendergast", "Lavinia Prendergast"),
    ],
)
def test_people_who_sign_or_receive_are_found(text: str, name: str) -> None:
    assert people(text) == [name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("投诉人：许文静，请回复", "许文静"),
        ("有事找吴建明就行", "吴建明"),
        ("我爸陈国强想看老电影", "陈国强"),
        ("联系周晓兰签收", "周晓兰"),
        ("陳美玲老師喜歡什麼書", "陳美玲老師"),
    ],
)
def test_chinese_names_are_found_after_more_words(text: str, name: str) -> None:
    assert people(text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "I liked Ivanhoe and Rebecca, what else",
        "What did Carl Sagan say about Mars in his last book?",
        "Schachnovelle von Stefan Zweig in großer Schrift",
        "Effi Briest von Theodor Fontane, ISBN 978-3-15-006961-5",
        "hose von Hugo Boss in 48 regular fit",
        "mantel Calvin Klein im angebot",
        "chaussures Paul Smith en solde, taille 42",
        "scarpe Mario Valentino in saldo",
        "playlist mit Peter Fox und Max Herre",
        "Kann man Robert Jordan auch als Hörbuch bekommen",
        "Mrs Dalloway for the book club",
        "David Copperfield adaptado para niños",
        "¿Tenéis La sombra del viento de Carlos Ruiz Zafón?",
        "is 32 Windsor Gardens in the Paddington film",
        "deliver to Los Angeles or San Francisco",
        "Return to Castle Wolfenstein - PC",
        "We're the Millers (2013)",
        "ich bin Star Wars Fan",
        "soy muy fan de star wars",
        "the teacher as a hero in films",
        "我妈高兴坏了",
        "问题不大，推荐一本书",
        "主持人：何炅的节目",
    ],
)
def test_works_brands_and_towns_stay(text: str) -> None:
    assert personal_data(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Ein Hörbuch für Petra Wolf als Taschenbuch",
        "regalo para Ana García para el club de lectura",
        "Habt ihr das Paket von Stefan Weber?",
        "I love hiking with Emma and Rebecca",
        "send it to Anna Bell in the book shop",
    ],
)
def test_a_person_who_is_addressed_is_no_author(text: str) -> None:
    assert people(text)
