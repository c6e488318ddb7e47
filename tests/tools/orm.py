"""Ordinary SQLAlchemy models with default keys, through whatever the URL names: their tables are created, rows inserted and
read back, the schema migrated under them, and at last all is dropped again."""

import sys
from decimal import Decimal

from sqlalchemy import ForeignKey, Identity, Index, Numeric, String, create_engine, func, inspect, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Currency(Base):
    __tablename__ = "currencies"
    code: Mapped[str] = mapped_column(String(3), primary_key=True)
    name: Mapped[str]


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(30))
    currency: Mapped[str | None] = mapped_column(ForeignKey("currencies.code"))
    orders: Mapped[list["Order"]] = relationship(back_populates="user", order_by="Order.id")


class Order(Base):
    __tablename__ = "orders"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    note: Mapped[str | None]
    user: Mapped[User] = relationship(back_populates="orders")


class Letter(Base):
    """A key of its own, and nothing else: as a model looks by default."""

    __tablename__ = "letters"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


def first_revision(engine):
    Base.metadata.create_all(engine)
    # A second time there is nothing to do.
    Base.metadata.create_all(engine)
    tables = set(inspect(engine).get_table_names())
    assert tables == {"currencies", "users", "orders", "letters"}, tables
    with Session(engine) as session, session.begin():
        session.add_all([Currency(code="EUR", name="Euro"), Currency(code="USD", name="US dollar")])


def insert(engine, rows, batch):
    """Users and their orders: ids as they were given."""
    made = []
    for number in range(rows):
        with Session(engine) as session, session.begin():
            user = User(name=f"it's {number}", currency="EUR" if number % 2 else None)
            session.add(user)
            session.flush()
            orders = [Order(user_id=user.id, note=f"{number}.{at}") for at in range(batch)]
            orders.append(Order(user_id=user.id))
            session.add_all(orders)
            session.flush()
            made.append((user.id, [order.id for order in orders]))
    # Objects of one flush: keys come in their order, wherever their rows go.
    with Session(engine) as session, session.begin():
        users = [User(name=f"it's {rows + at}") for at in range(rows)]
        session.add_all(users)
        letters = [Letter(text=f"letter {at}") for at in range(rows)]
        session.add_all(letters)
        session.flush()
        for objects in (users, letters):
            ids = [one.id for one in objects]
            assert ids == sorted(ids), ids
        made += [(user.id, []) for user in users]
    return made


def read_back(engine, made, rows, batch):
    with Session(engine) as session:
        for number, (user_id, order_ids) in enumerate(made):
            user = session.get(User, user_id)
            assert user is not None and user.name == f"it's {number}", user_id
            notes = [order.note for order in user.orders]
            assert [order.id for order in user.orders] == order_ids, (order_ids, notes)
            assert notes == ([f"{number}.{at}" for at in range(batch)] + [None] if order_ids else []), notes
        counted = session.scalar(select(func.count()).select_from(User))
        assert counted == 2 * rows, counted
        texts = session.scalars(select(Letter).order_by(Letter.id)).all()
        assert [letter.text for letter in texts] == [f"letter {at}" for at in range(rows)], texts
        named = select(User.id, Currency.name).join(Currency, User.currency == Currency.code).order_by(User.id)
        expected = [(user_id, "Euro") for number, (user_id, orders) in enumerate(made) if orders and number % 2]
        assert [tuple(row) for row in session.execute(named)] == sorted(expected)


def change(engine, made):
    """Unit of work: dirty and deleted objects of several shards in one transaction."""
    with Session(engine) as session, session.begin():
        for user_id, _ in made[:6]:
            session.get(User, user_id).name = f"changed {user_id}"
        session.delete(session.get(User, made[-1][0]))
    with Session(engine) as session:
        for user_id, _ in made[:6]:
            assert session.get(User, user_id).name == f"changed {user_id}"
        assert session.get(User, made[-1][0]) is None


def second_revision(engine, made):
    """What a migration does: a column, an index, a table that refers to a co-located and to a reference table."""

    class Invoice(Base):
        __tablename__ = "invoices"
        user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
        id: Mapped[int] = mapped_column(Identity(), primary_key=True)
        currency: Mapped[str] = mapped_column(ForeignKey("currencies.code"))
        total: Mapped[Decimal] = mapped_column(Numeric(12, 2))

    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE orders ADD COLUMN price NUMERIC(12, 2) DEFAULT 1.50 NOT NULL"))
        connection.execute(text("ALTER TABLE users ALTER COLUMN name TYPE VARCHAR(60)"))
        Index("ix_orders_note", Order.__table__.c.note).create(connection)
        Invoice.__table__.create(connection)
    Order.price = mapped_column(Numeric(12, 2))
    told = inspect(engine)
    assert "price" in {column["name"] for column in told.get_columns("orders")}
    assert "ix_orders_note" in {index["name"] for index in told.get_indexes("orders")}
    assert {key["referred_table"] for key in told.get_foreign_keys("invoices")} == {"users", "currencies"}
    with Session(engine) as session, session.begin():
        for user_id, order_ids in made:
            if order_ids:
                session.add(Order(user_id=user_id, note="after", price=Decimal("2.25")))
        session.add_all([Invoice(user_id=user_id, currency="USD", total=Decimal(user_id)) for user_id, _ in made[:-1]])
    with Session(engine) as session:
        with_orders = sum(1 for _, order_ids in made if order_ids)
        sums = dict(session.execute(select(Order.price, func.count()).group_by(Order.price)).all())
        before = sum(len(order_ids) for _, order_ids in made)
        assert sums == {Decimal("1.50"): before, Decimal("2.25"): with_orders}, sums
        invoices = session.execute(select(Invoice.user_id, Invoice.total).order_by(Invoice.user_id)).all()
        users = sorted(user_id for user_id, _ in made[:-1])
        assert [tuple(row) for row in invoices] == [(user_id, Decimal(user_id)) for user_id in users]


def main(url, rows, batch):
    engine = create_engine(url, echo=len(sys.argv) > 4)
    first_revision(engine)
    made = insert(engine, rows, batch)
    read_back(engine, made, rows, batch)
    change(engine, made)
    second_revision(engine, made)
    ids = [user_id for user_id, _ in made] + [-order for _, orders in made for order in orders]
    assert len(set(ids)) == len(ids), "an id was given twice"
    print("ids", *sorted(user_id for user_id, _ in made))


def drop(url):
    engine = create_engine(url)
    Base.metadata.reflect(engine)
    Base.metadata.drop_all(engine)
    assert inspect(engine).get_table_names() == []
    print("dropped")


if sys.argv[2] == "drop":
    drop(sys.argv[1])
else:
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
