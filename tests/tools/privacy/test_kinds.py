"""Kinds of personal data in six languages, what is public or harmless, and long texts."""

import time
from itertools import pairwise

import pytest

from whimbrel.tools.privacy.find import personal_data
from whimbrel.tools.privacy.spans import KINDS

LONGEST_SECONDS = 10.0
"""Of the processor, for 100,000 characters. They take .7 s on two free cores. A pattern of quadratic time takes minutes."""


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in personal_data(text)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("我的邮箱是zhang.wei88@qq.com，请发给我", "zhang.wei88@qq.com"),
        ("schreib an max.muster (at) gmx.de", "max.muster (at) gmx.de"),
        ("kontakt: t.weber [at] web [dot] de", "t.weber [at] web [dot] de"),
        ("reach me at jane dot doe at gmail dot com", "jane dot doe at gmail dot com"),
        ("anna @ example.org is mine", "anna @ example.org"),
        ("邮箱：wang＠example．com", "wang＠example．com"),
        ("mail o'connor@example.ie", "o'connor@example.ie"),
        ("an j.müller@büro-beispiel.de bitte", "j.müller@büro-beispiel.de"),
        ("follow @anna_reads", "@anna_reads"),
        ("微信号zhangwei_88", "zhangwei_88"),
        ("username is booklover42", "booklover42"),
        ("see https://www.facebook.com/anna.schmidt.92", "https://www.facebook.com/anna.schmidt.92"),
        ("https://example.com/reset?token=ab12cd34ef expired", "https://example.com/reset?token=ab12cd34ef"),
        ("ping fe80::1ff:fe23:4567:890a", "fe80::1ff:fe23:4567:890a"),
        ("mac 00:1A:2B:3C:4D:5E", "00:1A:2B:3C:4D:5E"),
        ("my password is hunter2!", "hunter2"),
        ("密码是abc12345", "abc12345"),
        ("api key sk-abcDEF1234567890abcDEF12", "sk-abcDEF1234567890abcDEF12"),
    ],
)
def test_ways_to_reach_a_person_online_are_found(text: str, address: str) -> None:
    assert found(text) == [address]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("call 555-0132 after six", "555-0132"),
        ("电话13812345678，下午打", "13812345678"),
        ("llámame al 612 345 678", "612 345 678"),
        ("appelez-moi au 06 12 34 56 78", "06 12 34 56 78"),
        ("chiamami al 347 123 4567", "347 123 4567"),
        ("in Wien 0664 1234567", "0664 1234567"),
        ("in Zürich 079 123 45 67", "079 123 45 67"),
        ("ligue para (11) 91234-5678", "(11) 91234-5678"),
        ("pay CH93 0076 2011 6238 5295 7", "CH93 0076 2011 6238 5295 7"),
        ("IBAN ES91.2100.0418.4502.0005.1332", "ES91.2100.0418.4502.0005.1332"),
        ("card 4111.1111.1111.1111", "4111.1111.1111.1111"),
        ("pay 3734-579230-22587, and call me", "3734-579230-22587"),
        ("numéro de commande : FR-20231-88", "FR-20231-88"),
        ("commande n° 55671", "55671"),
        ("mi número de pedido es ES-88213", "ES-88213"),
        ("mi DNI es 12345678Z", "12345678Z"),
        ("Rechnung Nr. 2023-4471", "2023-4471"),
        ("meine Steuer-ID ist 12 345 678 903", "12 345 678 903"),
        ("订单号20230512887766", "20230512887766"),
        ("我的证件11010519491231002X", "11010519491231002X"),
        ("tracking 1Z999AA10123456784", "1Z999AA10123456784"),
        ("it says AB 12 34 56 C", "AB 12 34 56 C"),
        ("plate AB12 CDE", "AB12 CDE"),
        ("born on 12 March 1984", "12 March 1984"),
        ("geboren am 12.03.1984", "12.03.1984"),
        ("出生日期1990年5月3日", "1990年5月3日"),
    ],
)
def test_numbers_of_a_person_are_found(text: str, number: str) -> None:
    assert found(text) == [number]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("my address is 221b baker street, london", "221b baker street, london"),
        ("send to Flat 3, 12 Elm Road, Leeds LS1 4AP", "Flat 3, 12 Elm Road, Leeds LS1 4AP"),
        ("at 350 Fifth Avenue, Apt 4B, New York, NY 10118", "350 Fifth Avenue, Apt 4B, New York, NY 10118"),
        ("ship to P.O. Box 1234", "P.O. Box 1234"),
        ("Lieferung an Lindengasse 4, 1070 Wien", "Lindengasse 4, 1070 Wien"),
        ("Adresse: Am Alten Markt 9, 50667 Köln", "Am Alten Markt 9, 50667 Köln"),
        ("an Packstation 145, 12345 Berlin", "Packstation 145, 12345 Berlin"),
        ("schick es an Goethestr. 23, Haus 3, Whg 2", "Goethestr. 23, Haus 3, Whg 2"),
        ("au 3 bis avenue des tilleuls, 69003 Lyon", "3 bis avenue des tilleuls, 69003 Lyon"),
        ("vivo en calle de alcalá 45, 3º B", "calle de alcalá 45, 3º B"),
        ("enviar a Av. de la Constitución 7, Sevilla", "Av. de la Constitución 7, Sevilla"),
        ("abito in via Roma 12, 20121 Milano", "via Roma 12, 20121 Milano"),
        ("woon op Kerkstraat 15, 1017 GA Amsterdam", "Kerkstraat 15, 1017 GA Amsterdam"),
        ("我住在北京市朝阳区建国路88号院3栋2单元501室", "北京市朝阳区建国路88号院3栋2单元501室"),
        ("住阳光花园3号楼2单元401室，请送上楼", "阳光花园3号楼2单元401室"),
    ],
)
def test_postal_addresses_are_found(text: str, address: str) -> None:
    assert found(text) == [address]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my name is sergei volkov and I like chess", "sergei volkov"),
        ("I'm Priyanka, looking for a thriller", "Priyanka"),
        ("ich heisse Torben Lüders", "Torben Lüders"),
        ("je m'appelle aurélie et je cherche un roman", "aurélie"),
        ("me llamo josé luis garcía", "josé luis garcía"),
        ("my husband's name is Khalid al-Rashid", "Khalid al-Rashid"),
        ("mon mari Thibault aime le jazz", "Thibault"),
        ("mi hermano Íñigo quiere un juego", "Íñigo"),
        ("my sister MARGARET wants a scarf", "MARGARET"),
        ("ein Geschenk für die Familie Brinkmann", "Brinkmann"),
        ("cadeau pour Mme Lefort", "Lefort"),
        ("un regalo para la Sra. Echeverría", "Echeverría"),
        ("my partner, Saoirse O'Neill, hates horror", "Saoirse O'Neill"),
        ("a book for anna schmidt please", "anna schmidt"),
        ("gift for Quimby's 60th birthday", "Quimby"),
        ("Ingrid wants something warm", "Ingrid"),
        ("Find something warm. Regards, Philippa Thorne", "Philippa Thorne"),
        ("Find me a quiet game. — Ruth", "Ruth"),
        ("Ich suche einen Krimi. LG Svenja", "Svenja"),
        ("朋友张伟推荐了这本书", "张伟"),
        ("我女儿朵朵五岁了", "朵朵"),
        ("马先生想退货", "马先生"),
    ],
)
def test_names_are_found_without_being_on_a_list(text: str, name: str) -> None:
    assert found(text) == [name]


def test_who_stands_before_an_address_lives_there() -> None:
    assert found("to Xaviera Quillfeather, 12 Baker Street, London") == [
        "Xaviera Quillfeather",
        "12 Baker Street, London",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "books by Agatha Christie",
        "a Taylor Swift album",
        "I love Stephen King",
        "films with Tom Hanks or Julia Roberts",
        "Romane von Thomas Mann",
        "films avec Catherine Deneuve",
        "me gusta Gabriel García Márquez",
        "村上春树的小说",
        "black Calvin Klein boxers",
        "Jack Daniel's",
        "Dr. Martens 1460 boots",
        "Mr. Smith Goes to Washington (1939)",
        "They Call Me Trinity",
        "Norah Jones - Come Away With Me",
        "Zombies Ate My Neighbors - Sega Genesis",
        "I loved 21 Jump Street",
        "Love, Rosie",
        "für meine Frau Bücher über Gärten",
        "I'm vegan and hungry",
        "给我女儿买玩具",
        "老师推荐的书",
        "ISBN 0-306-40615-2; EAN 5901234123457",
        "1994-2001, 2023-01-05 to 2023-02-01, 01.02.2023",
        "version 1.2.3.4, firmware 10.2.14.3, v2.14.100.7",
        "12 x 30 cm, RTX 4090, WD-40, 1.299,00 €",
        "Dell Inspiron 312-0504 312-0513, Graphics Card 03G-P4-2783",
        "iPad 2 via USB 3, Spring 2021",
        "order 3 packs, the account of 1984",
        "the password is wrong",
        "www.imdb.com/title/tt0111161",
    ],
)
def test_what_is_public_or_harmless_stays(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *("Mr. ", "路1号", "1 ", "a@", "A ", "a.", "(", "Anna ", "my wife ", "Anna de la ", "010 ", "0171 2345678, "),
        *(
            "12 rue de la ",
            "Am Alten ",
            "DE89 ",
            "de12abcdefgh",
            "1.2.",
            "regards, ",
            "王",
            "a green tea with honey, please. ",
            "rue de la ",
            "calle 10 # ",
            "send it to ",
            "the nurse ",
            "ich bin ana ",
            "mail a at b. ",
            "路1巷",
            "shoes by anna ",
            "liked Anna and ",
            "Col. a ",
        ),
    ],
)
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    personal_data(text * 2)  # patterns are compiled once
    begun = time.process_time()
    personal_data(text * (100_000 // len(text)))
    assert time.process_time() - begun < LONGEST_SECONDS


def test_pieces_are_in_order_apart_and_of_a_known_kind() -> None:
    text = (
        "Anna Schmidt, anna@example.org, tel 0171 2345678, Hauptstraße 5, 10115 Berlin, order no. 12345, password: x12"
    )
    spans = personal_data(text)
    assert len(spans) == 6
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert {span.kind for span in spans} <= set(KINDS)
