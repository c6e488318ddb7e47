"""Django's ordinary models with default keys, through whatever the address names: migrations make their tables, rows are
inserted, read back and changed, a second migration changes the tables under them."""

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

# With psycopg 3 Django sends bulk_create as INSERT … SELECT FROM unnest(…), which several shards refuse.
sys.modules["psycopg"] = None

import django
from django.conf import settings
from django.core.management import call_command

HOST, PORT, DATABASE, USER, ROWS = sys.argv[1:6]

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": HOST,
            "PORT": PORT,
            "NAME": DATABASE,
            "USER": USER,
        }
    },
    INSTALLED_APPS=["shop"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)

FIRST = '''
from django.db import models

class Currency(models.Model):
    code = models.CharField(max_length=3, primary_key=True)
    name = models.CharField(max_length=30)

class Customer(models.Model):
    name = models.CharField(max_length=50, db_index=True)
    currency = models.ForeignKey(Currency, models.PROTECT, null=True)
    joined = models.DateTimeField(auto_now_add=True)

class Letter(models.Model):
    customer = models.ForeignKey(Customer, models.DO_NOTHING, db_constraint=False)
    text = models.TextField()
'''

SECOND = FIRST + '''
    read = models.BooleanField(default=False)
    weight = models.DecimalField(max_digits=8, decimal_places=2, null=True)
'''


def revise(package, text):
    """Writes the models, and has Django find out what has changed, and apply it."""
    (package / "models.py").write_text(text)
    django.setup()
    call_command("makemigrations", "shop", verbosity=0)
    call_command("migrate", verbosity=0)
    return importlib.import_module("shop.models")


def fill(models, rows):
    from django.db import transaction

    models.Currency.objects.create(code="EUR", name="Euro")
    models.Currency.objects.create(code="USD", name="US dollar")
    made = []
    for number in range(rows):
        with transaction.atomic():
            customer = models.Customer.objects.create(name=f"it's {number}", currency_id="EUR" if number % 2 else None)
            models.Letter.objects.create(customer=customer, text="one")
            made.append(customer.pk)
    letters = [models.Letter(customer_id=pk, text="many") for pk in made]
    models.Letter.objects.bulk_create(letters)
    assert all(letter.pk for letter in letters)
    return made, [letter.pk for letter in letters]


def check(models, made):
    assert models.Customer.objects.count() == len(made)
    assert len(set(made)) == len(made)
    for number, pk in enumerate(made):
        customer = models.Customer.objects.get(pk=pk)
        assert customer.name == f"it's {number}" and customer.joined is not None
    names = list(models.Customer.objects.order_by("id").values_list("id", flat=True))
    assert names == sorted(made), names
    with_euro = models.Customer.objects.select_related("currency").filter(currency__code="EUR")
    assert {customer.currency.name for customer in with_euro} == {"Euro"}
    assert models.Letter.objects.filter(text="many").count() == len(made)
    assert models.Customer.objects.filter(pk__in=made[:3]).count() == 3
    assert models.Customer.objects.filter(name="nobody").first() is None


def change(models, made):
    customer = models.Customer.objects.get(pk=made[0])
    customer.name = "renamed"
    customer.save()
    customer.refresh_from_db()
    assert customer.name == "renamed"
    customer.name = "it's 0"
    customer.save(update_fields=["name"])
    got, created = models.Customer.objects.get_or_create(pk=made[0], defaults={"name": "other"})
    assert not created and got.name == "it's 0"


def first(package):
    models = revise(package, FIRST)
    made, letters = fill(models, int(ROWS))
    check(models, made)
    change(models, made)
    return made, letters


def second(package, made, letters):
    models = revise(package, SECOND)
    check(models, made)
    letter = models.Letter.objects.get(pk=letters[0])
    assert letter.read is False and letter.weight is None
    letter.read, letter.weight = True, "12.50"
    letter.save()
    assert models.Letter.objects.filter(read=True).count() == 1


def main():
    """Each revision is a process of its own, as a deployment is."""
    if len(sys.argv) > 6:
        directory = Path(sys.argv[6])
        sys.path.insert(0, str(directory))
        made = directory / "made.json"
        if made.exists():
            second(directory / "shop", *json.loads(made.read_text()))
        else:
            made.write_text(json.dumps(first(directory / "shop")))
        return
    with tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / "shop"
        (package / "migrations").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "migrations" / "__init__.py").write_text("")
        for _ in range(2):
            subprocess.run([sys.executable, *sys.argv, directory], check=True)
        made, letters = json.loads((Path(directory) / "made.json").read_text())
        print(len(made), len(letters))


main()
