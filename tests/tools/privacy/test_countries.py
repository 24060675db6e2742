"""Addresses, numbers and mail addresses in the forms of more countries."""

import pytest

from whimbrel.tools.privacy.find import personal_data


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in personal_data(text)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ship to 8 Harcourt Road, Dublin 6, D06 K4T2 please", "8 Harcourt Road, Dublin 6, D06 K4T2"),
        ("deliver to 45 Queen Street, Toronto, ON M5V 2T6", "45 Queen Street, Toronto, ON M5V 2T6"),
        ("Wir wohnen Alte Mühlgasse 14, 97070 Würzburg", "Alte Mühlgasse 14, 97070 Würzburg"),
        ("J'habite avenue des Cerisiers 112, 1030 Bruxelles", "avenue des Cerisiers 112, 1030 Bruxelles"),
        ("livrer à chaussée de Namur 8, 5030 Gembloux", "chaussée de Namur 8, 5030 Gembloux"),
        ("ik woon op Stationsstraat 88, 9300 Aalst en zoek bier", "Stationsstraat 88, 9300 Aalst"),
        ("vivo en la Carrera 7 # 45-12, Bogotá", "Carrera 7 # 45-12, Bogotá"),
        ("enviar a Cll 100 No. 19-61, Cali", "Cll 100 No. 19-61, Cali"),
        (
            "Vivo en Calle Durango 245, Col. Roma Norte, 06700 Ciudad de México",
            "Calle Durango 245, Col. Roma Norte, 06700 Ciudad de México",
        ),
        ("wysyłka na ul. Długa 14/7, 31-147 Kraków proszę", "ul. Długa 14/7, 31-147 Kraków"),
        ("mieszkam na al. Jana Pawła 12", "al. Jana Pawła 12"),
        ("skicka till Storgatan 4 B, 903 26 Umeå tack", "Storgatan 4 B, 903 26 Umeå"),
        ("send det til Kirkeveien 61, 0364 Oslo", "Kirkeveien 61, 0364 Oslo"),
        ("lever to Unit 4/19 Marine Parade, Manly NSW 2095", "Unit 4/19 Marine Parade, Manly NSW 2095"),
        ("我住在12 rue Daguerre, 75014 Paris", "12 rue Daguerre, 75014 Paris"),
        ("送到新北市板橋區文化路一段188巷5弄12號4樓，謝謝", "新北市板橋區文化路一段188巷5弄12號4樓"),
        ("我住香港北角英皇道500號22樓C室", "香港北角英皇道500號22樓C室"),
    ],
)
def test_addresses_of_more_countries_are_found(text: str, address: str) -> None:
    assert found(text) == [address]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Cust no. 77120934 wants a refund", "77120934"),
        ("Abo-Nr. 441-90233, bitte kündigen", "441-90233"),
        ("el NIE de mi hermana es Y7719203K", "Y7719203K"),
        ("my NI number is JQ 45 81 22 B and I need help", "JQ 45 81 22 B"),
        ("my order number is 4455 1290 I want it back", "4455 1290"),
        ("assurance police n° MACIF 8821 447 T, merci", "MACIF 8821 447 T"),
        ("mój PESEL 85041712349 do faktury", "85041712349"),
        ("mitt personnummer är 850417-2384", "850417-2384"),
        ("電話2345 6789，請留言", "2345 6789"),
    ],
)
def test_a_number_of_several_groups_is_found_whole(text: str, number: str) -> None:
    assert found(text) == [number]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("correo: lucia.pardo arroba movistar.es, gracias", "lucia.pardo arroba movistar.es"),
        ("écrivez-moi : j.lemoine chez sfr.fr", "j.lemoine chez sfr.fr"),
        ("meine mail: petra.huber bei freenet.de", "petra.huber bei freenet.de"),
        ("my email is tomford at btinternet.com", "tomford at btinternet.com"),
        ("mail luca punto neri chiocciola tiscali punto it", "luca punto neri chiocciola tiscali punto it"),
    ],
)
def test_spoken_mail_addresses_are_found(text: str, address: str) -> None:
    assert found(text) == [address]


@pytest.mark.parametrize("text", ["look at amazon.com for it", "gekauft bei zalando.de", "chez fnac.com c'est cher"])
def test_a_shop_is_no_mail_address(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "text", ["bokstav 12 i alfabetet", "a gate 3 for the garden", "os. lovely, 5 pieces", "tie 2 knots"]
)
def test_words_that_end_like_streets_are_none(text: str) -> None:
    assert found(text) == []
