"""What drivers do by themselves, step by step: each step's result is a line. The test compares the lines of a proxy with those of one Postgres.

drivers.py DRIVER HOST PORT DATABASE USER
"""

import asyncio
import datetime
import decimal
import io
import sys

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
ROWS = [(number, f"name {number}", decimal.Decimal(number) / 4, MOMENT) for number in range(1, 61)]
MANY = "SELECT id, name, amount, at FROM h ORDER BY id"


def said(error):
    """An error as far as drivers show it alike."""
    return getattr(error, "sqlstate", None) or type(error).__name__


def psycopg3(host, port, database, user):
    import psycopg
    from psycopg import IsolationLevel

    def connect(**more):
        return psycopg.connect(host=host, port=port, dbname=database, user=user, **more)

    steps = []

    def step(made):
        steps.append(made)
        return made

    connection = connect(autocommit=True)

    @step
    def many_at_once():
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO h (id, name, amount, at) VALUES (%s, %s, %s, %s)", ROWS)
            return cursor.rowcount

    @step
    def in_text_and_binary():
        found = []
        for binary in (False, True):
            found += connection.execute(MANY + " LIMIT 3", binary=binary).fetchall()
            found += connection.execute("SELECT * FROM h WHERE id = %s", (7,), binary=binary).fetchall()
            found += connection.execute("SELECT count(*), sum(amount), max(at) FROM h WHERE id > %b", (9,)).fetchall()
        return found

    @step
    def prepared_by_itself():
        return [connection.execute("SELECT name FROM h WHERE id = %s", (id,)).fetchone() for id in range(1, 12)]

    @step
    def pipeline():
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int", (1,)), connection.execute("SELECT count(*) FROM h")]
            cursors.append(connection.execute("UPDATE h SET name = 'piped' WHERE id = %s", (5,)))
            cursors.append(connection.execute("SELECT name FROM h WHERE id IN (5, 6) ORDER BY id"))
            return [cursor.fetchall() if cursor.description else cursor.rowcount for cursor in cursors]

    @step
    def pipeline_in_a_block():
        with connection.pipeline(), connection.transaction():
            connection.execute("UPDATE h SET amount = amount + 1 WHERE id = 1")
            connection.execute("UPDATE h SET amount = amount - 1 WHERE id = 2")
            return connection.execute("SELECT sum(amount) FROM h").fetchall()

    @step
    def failing_pipeline():
        try:
            with connection.pipeline():
                connection.execute("UPDATE h SET name = 'not kept' WHERE id = 5")
                connection.execute("SELECT 1 / 0")
        except psycopg.Error as error:
            return said(error), connection.execute("SELECT name FROM h WHERE id = 5").fetchone()

    def cursor_on_the_server(query):
        with connection.transaction(), connection.cursor("held") as cursor:
            cursor.execute(query)
            cursor.itersize = 7
            found = [cursor.description[0].name, cursor.fetchmany(4)]
            cursor.scroll(3)
            found.append(cursor.fetchone())
            return found + [row[0] for row in cursor]

    step(lambda: cursor_on_the_server(MANY))
    step(lambda: cursor_on_the_server("SELECT * FROM h WHERE id = 3"))
    step(lambda: cursor_on_the_server("SELECT * FROM t ORDER BY id"))

    @step
    def two_cursors_on_the_server():
        with connection.transaction(), connection.cursor("one") as one, connection.cursor("two") as two:
            one.execute(MANY)
            two.execute("SELECT id FROM h ORDER BY id DESC")
            return [(one.fetchone(), two.fetchmany(2)) for _ in range(5)]

    @step
    def copies():
        with connection.cursor() as cursor:
            with cursor.copy("COPY h (id, name, amount, at) FROM STDIN") as copy:
                for number in range(101, 131):
                    copy.write_row((number, "copied", None, MOMENT))
            found = [cursor.rowcount]
            with cursor.copy("COPY h TO STDOUT") as copy:
                found.append(sorted(copy.rows()))
            return found

    @step
    def streamed():
        return [row[0] for row in connection.cursor().stream(MANY)]

    @step
    def nested_transactions():
        with connection.transaction():
            connection.execute("UPDATE h SET name = 'outer' WHERE id = 8")
            try:
                with connection.transaction():
                    connection.execute("UPDATE h SET name = 'inner' WHERE id = 9")
                    connection.execute("SELECT nothing")
            except psycopg.Error as error:
                failed = said(error)
        return failed, connection.execute("SELECT id, name FROM h WHERE id IN (8, 9) ORDER BY id").fetchall()

    @step
    def two_phases():
        other = connect()
        xid = other.xid(7, "global", "branch")
        other.tpc_begin(xid)
        other.execute("UPDATE h SET name = 'prepared' WHERE id = 10")
        other.tpc_prepare()
        other.close()
        before = connection.execute("SELECT name FROM h WHERE id = 10").fetchone()
        connection.tpc_commit(xid)
        return before, connection.execute("SELECT name FROM h WHERE id = 10").fetchone()

    @step
    def serializable_on_one_row():
        with connect() as other:
            other.isolation_level = IsolationLevel.SERIALIZABLE
            return other.execute("SELECT name FROM h WHERE id = 4").fetchone()

    run(steps)


async def asyncpg(host, port, database, user):
    import asyncpg

    async def connect():
        return await asyncpg.connect(host=host, port=port, database=database, user=user)

    connection = await connect()
    found = []

    async def step(made):
        try:
            found.append(await made)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            found.append(said(error))

    insert = "INSERT INTO h (id, name, amount, at) VALUES ($1, $2, $3, $4)"
    await step(connection.executemany(insert, ROWS))
    await step(connection.fetch(MANY + " LIMIT 3"))
    await step(connection.fetchrow("SELECT * FROM h WHERE id = $1", 7))
    await step(connection.fetchval("SELECT count(*) FROM h WHERE id > $1", 9))
    await step(connection.fetch("SELECT id FROM h WHERE id = ANY($1::bigint[]) ORDER BY id", [1, 2, 3, 42]))

    async def cursors():
        async with connection.transaction():
            by_hand = await connection.cursor(MANY)
            seen = [await by_hand.fetch(5), await by_hand.forward(3), await by_hand.fetchrow(), await by_hand.fetch(2)]
            seen += [row["id"] async for row in connection.cursor(MANY, prefetch=7)]
            one = await connection.cursor("SELECT * FROM t ORDER BY id")
            return seen + [await one.fetch(2), await one.forward(1), await one.fetch(5)]

    async def nested():
        async with connection.transaction():
            await connection.execute("UPDATE h SET amount = amount - $1 WHERE id = 1", decimal.Decimal("0.5"))
            await connection.execute("UPDATE h SET amount = amount + $1 WHERE id = 2", decimal.Decimal("0.5"))
            try:
                async with connection.transaction():
                    await connection.execute("UPDATE h SET amount = 0 WHERE id = 3")
                    await connection.execute("SELECT 1 / 0")
            except asyncpg.PostgresError as error:
                failed = said(error)
        return failed, await connection.fetch("SELECT id, amount FROM h WHERE id < 4 ORDER BY id")

    async def copies():
        columns = ["id", "name", "amount", "at"]
        rows = [(number, "copied", None, MOMENT) for number in range(101, 131)]
        seen = [await connection.copy_records_to_table("h", records=rows, columns=columns)]
        for form in ("text", "csv"):
            out = io.BytesIO()
            seen.append(await connection.copy_from_table("h", output=out, format=form))
            seen.append(sorted(out.getvalue().decode().splitlines()))
        return seen

    async def listening():
        heard = asyncio.get_running_loop().create_future()
        await connection.add_listener("news", lambda *told: heard.set_result(told[2:]))
        await connection.execute("NOTIFY news, 'good'")
        return await asyncio.wait_for(heard, 20)

    async def told_by_triggers():
        ids = range(1, 9)
        heard, whole = [], asyncio.Event()

        def note(*told):
            heard.append(told[3])
            if len(heard) == len(ids):
                whole.set()

        await connection.add_listener("told", note)
        for id in ids:
            await connection.execute("INSERT INTO told VALUES ($1)", id)
        await asyncio.wait_for(whole.wait(), 20)
        await connection.remove_listener("told", note)
        return sorted(heard)

    async def at_once():
        pool = await asyncpg.create_pool(
            host=host, port=port, database=database, user=user, min_size=4, max_size=4
        )
        async with pool:
            return await asyncio.gather(*[pool.fetchval("SELECT name FROM h WHERE id = $1", id) for id in range(1, 61)])

    await step(cursors())
    await step(nested())
    await step(copies())
    await step(connection.execute("SET application_name = 'tried'"))
    await step(connection.fetchval("SHOW application_name"))
    await step(connection.reset())
    await step(connection.fetchval("SHOW application_name"))
    await step(listening())
    await step(told_by_triggers())
    await step(connection.reset())
    await step(at_once())
    await step(connection.fetch("SELECT ARRAY[ROW(1, 'a')], '{\"a\": 1}'::jsonb, ARRAY[1.5, NULL]"))
    await connection.close()
    for line in found:
        print(line)


def run(steps):
    for made in steps:
        try:
            print(made())
        except Exception as error:  # noqa: BLE001: whatever it is, both sides have to have it
            print(said(error))


def main():
    driver, *where = sys.argv[1:]
    if driver == "asyncpg":
        asyncio.run(asyncpg(*where))
    else:
        psycopg3(*where)


main()
