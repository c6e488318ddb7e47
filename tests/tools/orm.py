"""Ordinary SQLAlchemy models with default keys: insert, read back, change, delete, through whatever the URL names."""

import sys

from sqlalchemy import Identity, String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(30))


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    user_id: Mapped[int]
    note: Mapped[str | None]


def main(url: str, rows: int, batch: int) -> None:
    engine = create_engine(url, echo=len(sys.argv) > 4)
    made = []
    for number in range(rows):
        with Session(engine) as session, session.begin():
            user = User(name=f"it's {number}")
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
        session.flush()
        ids = [user.id for user in users]
        assert ids == sorted(ids), ids
        made += [(user_id, []) for user_id in ids]
    with Session(engine) as session:
        for number, (user_id, order_ids) in enumerate(made):
            user = session.get(User, user_id)
            assert user is not None and user.name == f"it's {number}", user_id
            found = session.scalars(select(Order).where(Order.user_id == user_id).order_by(Order.id)).all()
            notes = [order.note for order in found]
            assert [order.id for order in found] == order_ids, (order_ids, notes)
            assert notes == ([f"{number}.{at}" for at in range(batch)] + [None] if order_ids else []), notes
        counted = session.scalar(select(func.count()).select_from(User))
        assert counted == 2 * rows, counted
    ids = [user_id for user_id, _ in made] + [-order for _, orders in made for order in orders]
    assert len(set(ids)) == len(ids), "an id was given twice"
    print("ids", *sorted(user_id for user_id, _ in made))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
