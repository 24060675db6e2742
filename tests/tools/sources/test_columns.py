"""Columns are guessed from their names in many languages, then from their values."""

import pytest

from whimbrel.tools.sources.columns import guess_columns

TIMES = ["2024-01-02 10:00", "2024-01-03 11:00"]
VALUES = {
    "user_id": ["1", "2"], "item_id": ["17", "18"], "title": ["Green tea", "Wool socks"], "time": TIMES,
    "topics": ["Drinks", "Clothes"], "price": ["9,90", "12,00"], "event": ["view", "buy"], "rating": ["4", "5"], "text": ["A green tea from the hills of the south.", "Socks of merino wool for cold days."],
}  # fmt: skip


@pytest.mark.parametrize(
    "header",
    [
        "CustomerNo.=user_id SKU=item_id Product_Name=title Order_Date=time Category=topics Unit_Price=price",
        "InvoiceDate=time StockCode=item_id Description=title UnitPrice=price CustomerID=user_id",
        "KUNDENNUMMER=user_id Artikel-Nr.=item_id Artikelbezeichnung=title Bestelldatum=time Warengruppe=topics",
        "client=user_id produit=title date_commande=time catégorie=topics prix=price",
        "Cliente=user_id Código=item_id Producto=title Fecha=time Categoría=topics Precio=price",
        "用户编号=user_id 商品名称=title 下单时间=time 商品分类=topics 价格=price 行为=event",
        "用户=user_id 物品=title 时间=time 主题=topics 评分=rating 事件=event",
        "会员号=user_id 货号=item_id 标题=title 日期=time 关键词=topics 定价=price 用户行为=event",
        "读者编号=user_id 图书编号=item_id 书名=title 借阅时间=time 题材=topics 评分值=rating",
        "用戶編號=user_id 商品編號=item_id 商品名稱=title 購買時間=time 類別=topics 價格=price",
        "观众=user_id 影片编号=item_id 影片名称=title 观看日期=time 影片类型=topics 我的评分=rating 影片简介=text",
        "会員ID=user_id 商品名=title 購入日時=time カテゴリ=topics 価格=price",
        "event_time=time event_type=event product_id=item_id category_code=topics price=price user_id=user_id",
        "timestamp=time visitorid=user_id event=event itemid=item_id",
        "userId=user_id movieId=item_id rating=rating timestamp=time",
        "user.id=user_id product.id=item_id product.name=title created_at=time product.category=topics",
        "reviewerID=user_id asin=item_id overall=rating unixReviewTime=time",
        "business_id=item_id user_id=user_id stars=rating date=time",
    ],
)
def test_names_of_many_shops_and_languages_are_known(header: str) -> None:
    expected = dict(part.rsplit("=", 1) for part in header.split())
    sample = {name: VALUES[field] for name, field in expected.items()}
    assert dict(guess_columns(sample, []).mapped) == expected


def test_what_the_user_maps_is_not_guessed() -> None:
    sample = {"customer": ["1", "2"], "product": ["Tea", "Socks"], "note": ["Rye", "Oat"], "when": TIMES}
    columns = guess_columns(sample, [("note", "title")])
    assert {("note", "title"), ("customer", "user_id"), ("when", "time")} <= set(columns.mapped)
    assert ("product", "title") not in columns.mapped
    assert "note" not in columns.guessed


def test_a_date_and_its_clock_are_one_time() -> None:
    sample = {
        "Kunde": ["1", "2"],
        "Artikel": ["Tee", "Rad"],
        "Datum": ["01.02.2024", "02.02.2024"],
        "Uhrzeit": ["10:00", "11:30"],
    }
    assert [pair for pair in guess_columns(sample, []).mapped if pair[1] == "time"] == [
        ("Datum", "time"),
        ("Uhrzeit", "time"),
    ]


def test_values_tell_what_no_name_says_and_that_is_unsure() -> None:
    sample = {"a": ["u1", "u2"] * 4, "b": TIMES * 4, "c": ["Green tea", "Wool socks"] * 4}
    columns = guess_columns(sample, [])
    assert dict(columns.mapped) == {"b": "time", "a": "user_id", "c": "title"}
    assert set(columns.unsure) == {"a", "b", "c"}


def test_a_name_whose_values_do_not_fit_is_no_guess() -> None:
    sample = {
        "user": ["1", "2"],
        "title": ["Tea", "Oil"],
        "date": ["soon", "later"],
        "price": ["cheap", "dear"],
        "seen at": TIMES,
    }
    fields = dict(guess_columns(sample, []).mapped)
    assert fields["seen at"] == "time"
    assert "date" not in fields
