"""Products, customers and tax rates of the simulated stores, in WooCommerce's own shape."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from retail_assets.sandbox.minor import woo
from retail_assets.sandbox.profiles import StoreProfile

#: Stands for the address of the server in stored bodies; the server puts its own address in its place.
SITE: Final = "{{server}}"

API: Final = "/wp-json/wc/v3"


@dataclass(frozen=True, slots=True)
class Product:
    """Something that can be put on an order line: a simple product or one variation. ``price`` is in minor units."""

    product_id: int
    variation_id: int
    name: str
    parent_name: str | None
    sku: str
    price: int
    tax_class: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a customer lives."""

    line: str
    city: str
    state: str
    postcode: str
    country: str


@dataclass(frozen=True, slots=True)
class Customer:
    """A person who buys; ``id`` 0 is a guest."""

    id: int
    first_name: str
    last_name: str
    email: str
    address: Address


# (name, SKU, price, tax class, attributes of variations); HTML and quotes are as shop owners really type them.
_GOODS: Final = {
    "cedar_us": (
        ("Cedar Serving Board", "CP-BOARD", 6400, "", ()),
        ("Pine &amp; Wool Throw", "CP-THROW", 11900, "", ()),
        ("Field Candle <em>No. 7</em>", "CP-CANDLE", 2850, "", ()),
        ("12\" Cast Iron Skillet", "CP-SKILLET", 8999, "", ()),
        ("Enamel Mug", "CP-MUG", 1650, "", (("Colour", ("Moss", "Bone", "Ink")),)),
        ("Camp Shirt", "CP-SHIRT", 7800, "", (("Size", ("S", "M", "L", "XL")),)),
        ("Matchbox Set", "CP-MATCH", 799, "", ()),
        ("Workshop Apron", "CP-APRON", 5450, "", (("Size", ("Regular", "Long")),)),
    ),
    "linden_de": (
        ("Lindenholz-Brett", "LH-BRETT", 5490, "", ()),
        ("Kochbuch \u201eGarten &amp; Herd\u201c", "LH-BUCH", 2990, "reduced-rate", ()),
        ("Blütenhonig 500&nbsp;g", "LH-HONIG", 895, "reduced-rate", ()),
        ("Leinenschürze", "LH-SCHUERZE", 6900, "", (("Größe", ("S", "M", "L")),)),
        ("Emailletopf 3 l", "LH-TOPF", 7450, "", (("Farbe", ("Weiß", "Grün")),)),
        ("Kräutertee", "LH-TEE", 649, "reduced-rate", ()),
        ("Wolldecke <small>Bio</small>", "LH-DECKE", 12900, "", ()),
    ),
    "aoi_jp": (
        ("藍染めてぬぐい", "AO-TENUGUI", 1980, "", ()),
        ("煎茶 100g", "AO-SENCHA", 1296, "reduced-rate", ()),
        ("湯呑み <b>青</b>", "AO-YUNOMI", 4400, "", ()),
        ("藍染めエプロン", "AO-APRON", 9900, "", (("サイズ", ("S", "M", "L")),)),
        ("和菓子詰め合わせ", "AO-WAGASHI", 3240, "reduced-rate", ()),
        ("急須", "AO-KYUSU", 7700, "", ()),
    ),
}  # fmt: skip

_FIRST_NAMES: Final = {
    "US": ("Grace", "Walter", "Imani", "Jesse", "Rosa", "Theo", "Nadia", "Owen", "June", "Marcus"),
    "DE": ("Anneliese", "Jürgen", "Fatma", "Lukas", "Käthe", "Emil", "Sabine", "Matthias", "Zoë", "Björn"),
    "GB": ("Harriet", "Alfie", "Priya", "Callum"),
    "CH": ("Reto", "Seraina"),
    "JP": ("花子", "太郎", "美咲", "健", "葵", "陽菜", "蓮"),
}
_LAST_NAMES: Final = {
    "US": ("O'Connor", "Whitfield", "Alvarez", "Nguyen", "Brooks", "Haddad", "Lindqvist", "Carter"),
    "DE": ("Müller", "Großmann", "Öztürk", "Schäfer", "Brandt", "Vogel", "Weiß"),
    "GB": ("Ashworth", "Patel", "MacLeod"),
    "CH": ("Zürcher", "Bühler"),
    "JP": ("山田", "佐藤", "鈴木", "高橋", "田中", "伊藤"),
}
_ADDRESSES: Final = {
    "US-NY": Address("350 Hudson St", "New York", "NY", "10014", "US"),
    "US-UPSTATE": Address("18 Mill Road", "Ithaca", "NY", "14850", "US"),
    "US-CA": Address("2100 Valencia St", "San Francisco", "CA", "94110", "US"),
    "US-OR": Address("77 SE Alder St", "Portland", "OR", "97214", "US"),
    "DE": Address("Lindenstraße 12", "Leipzig", "", "04109", "DE"),
    "DE-N": Address("Große Elbstraße 45", "Hamburg", "", "22767", "DE"),
    "GB": Address("4 Camden Passage", "London", "", "N1 8EA", "GB"),
    "CH": Address("Spalenberg 9", "Basel", "", "4051", "CH"),
    "JP": Address("千代田1-1", "千代田区", "JP13", "100-0001", "JP"),
    "JP-W": Address("烏丸通四条下ル", "京都市", "JP26", "600-8411", "JP"),
}
_HOMES: Final = {
    "US": ("US-NY", "US-NY", "US-UPSTATE", "US-CA", "US-CA", "US-OR"),
    "DE": ("DE", "DE", "DE", "DE-N", "DE-N", "CH"),
    "JP": ("JP", "JP", "JP-W"),
}


def products(store: StoreProfile) -> list[Product]:
    """Everything the store sells, one entry per simple product and per variation, with ids from 10 upwards."""
    found: list[Product] = []
    next_id = 10
    for name, sku, price, tax_class, attributes in _GOODS[store.store_id]:
        if not attributes:
            found.append(Product(next_id, 0, name, None, sku, price, tax_class))
            next_id += 1
            continue
        parent = next_id
        next_id += 1
        label, options = attributes[0]
        for step, option in enumerate(options):
            found.append(
                Product(
                    parent, next_id, f"{name} - {option}", name, f"{sku}-{step + 1}", price + step * 100, tax_class,
                    ((label, option),),
                )
            )  # fmt: skip
            next_id += 1
    return found


def customers(store: StoreProfile, count: int, rng: Random) -> list[Customer]:
    """Registered customers with ids from 2 upwards (1 is the administrator)."""
    return [_person(store.country, rng, customer_id) for customer_id in range(2, count + 2)]


def guest(store: StoreProfile, rng: Random, serial: int, country: str | None = None) -> Customer:
    """A customer without an account; ``country`` overrides the usual homes (GB for the orders in pounds)."""
    return _person(country or store.country, rng, 0, serial)


def _person(country: str, rng: Random, customer_id: int, serial: int = 0) -> Customer:
    address = _ADDRESSES[rng.choice(_HOMES.get(country, (country,)))]
    first, last = rng.choice(_FIRST_NAMES[address.country]), rng.choice(_LAST_NAMES[address.country])
    handle = f"customer{customer_id}" if customer_id else f"guest{serial}"
    return Customer(customer_id, first, last, f"{handle}.{address.country.lower()}@example.test", address)


def local_text(moment: datetime, zone: ZoneInfo) -> str:
    """A date the way WooCommerce writes it: shop-local, without offset."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")


def gmt_text(moment: datetime) -> str:
    """The ``_gmt`` twin of a date: UTC, also without offset."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def links(
    store: StoreProfile, path: str, collection: str, allow: tuple[str, ...] = (), *, up: str = ""
) -> dict[str, Any]:
    """The ``_links`` of a record: itself, its collection and what it belongs to (``up``)."""
    base = f"{SITE}/{store.store_id}{API}"
    methods = list(allow or ("GET", "POST", "PUT", "PATCH", "DELETE"))
    found: dict[str, Any] = {
        "self": [{"href": f"{base}{path}", "targetHints": {"allow": methods}}],
        "collection": [{"href": f"{base}{collection}"}],
    }
    if up:
        found["up"] = [{"href": f"{base}{up}"}]
    return found


def _dates(store: StoreProfile, created: datetime, modified: datetime | None) -> dict[str, Any]:
    zone = ZoneInfo(store.zone)
    return {
        "date_created": local_text(created, zone),
        "date_created_gmt": gmt_text(created),
        "date_modified": None if modified is None else local_text(modified, zone),
        "date_modified_gmt": None if modified is None else gmt_text(modified),
    }


def _stock_and_price(price: str, regular: str, stock: int | None) -> dict[str, Any]:
    return {
        "price": price, "regular_price": regular, "sale_price": "", "date_on_sale_from": None,
        "date_on_sale_from_gmt": None, "date_on_sale_to": None, "date_on_sale_to_gmt": None, "on_sale": False,
        "purchasable": True, "virtual": False, "downloadable": False, "downloads": [], "download_limit": -1,
        "download_expiry": -1, "tax_status": "taxable", "manage_stock": stock is not None, "stock_quantity": stock,
        "stock_status": "instock", "backorders": "no", "backorders_allowed": False, "backordered": False,
        "low_stock_amount": None, "weight": "", "dimensions": {"length": "", "width": "", "height": ""},
        "shipping_class": "", "shipping_class_id": 0, "menu_order": 0, "meta_data": [], "global_unique_id": "",
    }  # fmt: skip


def product_records(store: StoreProfile, opened: datetime) -> Iterator[dict[str, Any]]:
    """The catalogue as ``/products`` serves it: a variable product appears once, without a stock of its own."""
    by_product: dict[int, list[Product]] = {}
    for product in products(store):
        by_product.setdefault(product.product_id, []).append(product)
    for product_id, sold in by_product.items():
        first = sold[0]
        variable = first.variation_id > 0
        name = first.parent_name if variable else first.name
        sku = first.sku.rsplit("-", 1)[0] if variable else first.sku
        price = woo(first.price, store.currency)
        modified = opened + timedelta(hours=product_id)
        yield {
            "id": product_id, "name": name, "slug": sku.lower(),
            "permalink": f"{SITE}/{store.store_id}/product/{sku.lower()}/",
            **_dates(store, opened, modified),
            "type": "variable" if variable else "simple", "status": "publish", "featured": False,
            "catalog_visibility": "visible", "description": "", "short_description": "", "sku": sku,
            **_stock_and_price(price, "" if variable else price, None if variable else 40 + product_id),
            "total_sales": 0, "external_url": "", "button_text": "", "tax_class": first.tax_class,
            "sold_individually": False, "shipping_required": True, "shipping_taxable": True, "reviews_allowed": True,
            "average_rating": "0.00", "rating_count": 0, "upsell_ids": [], "cross_sell_ids": [], "parent_id": 0,
            "purchase_note": "", "categories": [{"id": 15, "name": "All", "slug": "all"}], "brands": [], "tags": [],
            "images": [],
            "attributes": [
                {
                    "id": 0, "name": label, "slug": label, "position": 0, "visible": True, "variation": True,
                    "options": [variation.attributes[0][1] for variation in sold],
                }
                for label, _ in first.attributes
            ],
            "default_attributes": [],
            "variations": [variation.variation_id for variation in sold if variation.variation_id],
            "grouped_products": [],
            "price_html": f'<span class="woocommerce-Price-amount amount"><bdi>{price}</bdi></span>',
            "related_ids": [], "has_options": variable, "post_password": "",
            "_links": links(store, f"/products/{product_id}", "/products"),
        }  # fmt: skip


def variation_records(store: StoreProfile, opened: datetime) -> Iterator[dict[str, Any]]:
    """Variations as ``/products/<id>/variations`` serves them."""
    for product in products(store):
        if not product.variation_id:
            continue
        price = woo(product.price, store.currency)
        collection = f"/products/{product.product_id}/variations"
        yield {
            "id": product.variation_id, "type": "variation",
            **_dates(store, opened, opened + timedelta(hours=product.variation_id)),
            "description": "", "permalink": f"{SITE}/{store.store_id}/product/{product.sku.lower()}/",
            "sku": product.sku, "status": "publish",
            **_stock_and_price(price, price, 5 + product.variation_id),
            "tax_class": product.tax_class, "image": None,
            "attributes": [
                {"id": 0, "name": label, "slug": label.lower(), "option": option}
                for label, option in product.attributes
            ],
            "name": ", ".join(option for _, option in product.attributes), "parent_id": product.product_id,
            "_links": links(
                store, f"{collection}/{product.variation_id}", collection, up=f"/products/{product.product_id}"
            ),
        }  # fmt: skip


def address_record(customer: Customer, *, email: bool) -> dict[str, Any]:
    """A billing (with e-mail) or shipping address."""
    home = customer.address
    record = {
        "first_name": customer.first_name, "last_name": customer.last_name, "company": "", "address_1": home.line,
        "address_2": "", "city": home.city, "state": home.state, "postcode": home.postcode, "country": home.country,
    }  # fmt: skip
    if email:
        record["email"] = customer.email
    return {**record, "phone": ""}


def customer_record(store: StoreProfile, customer: Customer, opened: datetime) -> dict[str, Any]:
    """A customer as ``/customers`` serves it; a third were never changed, so their modification date is null."""
    created = opened + timedelta(minutes=customer.id)
    modified = None if customer.id % 3 == 0 else created + timedelta(days=1)
    return {
        "id": customer.id, **_dates(store, created, modified), "email": customer.email,
        "first_name": customer.first_name, "last_name": customer.last_name, "role": "customer",
        "username": customer.email.split("@", 1)[0], "billing": address_record(customer, email=True),
        "shipping": address_record(customer, email=False), "is_paying_customer": True,
        "avatar_url": "https://secure.gravatar.com/avatar/?s=96&d=mm&r=g", "meta_data": [],
        "_links": links(store, f"/customers/{customer.id}", "/customers"),
    }  # fmt: skip


def tax_records(store: StoreProfile) -> Iterator[dict[str, Any]]:
    """Tax rates as ``/taxes`` serves them: percentages as strings with four decimals."""
    for rate in store.tax_rates:
        yield {
            "id": rate.id, "country": rate.country, "state": rate.state, "postcode": "", "city": rate.city,
            "rate": f"{rate.percent:.4f}", "name": rate.name, "priority": rate.priority, "compound": False,
            "shipping": True, "order": 0, "class": rate.tax_class, "postcodes": [],
            "cities": [rate.city] if rate.city else [],
            "_links": links(store, f"/taxes/{rate.id}", "/taxes"),
        }  # fmt: skip
