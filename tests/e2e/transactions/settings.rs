//! A shard whose settings don't allow to prepare: it refuses what needs it, and nothing else.

use super::{error_of, run, spec};
use crate::world::World;

#[test]
fn without_prepared_transactions_one_shard_at_a_time() {
    let world = World::start_private(spec("commit_none_prepared", ""));
    let mut client = world.client();
    world.servers().disturb(1, |cluster| {
        cluster.stop()?;
        cluster.set("max_prepared_transactions=0");
        cluster.restart()
    });
    // Learnt by the probe once the shard is back.
    let writes = [
        "UPDATE accounts SET balance = 1 WHERE id = 1",
        "UPDATE accounts SET balance = 1 WHERE id = 1001",
    ];
    crate::world::repeat("the setting to be noticed", || {
        client = world.client();
        client.rows("BEGIN");
        let answers = writes.map(|sql| client.query(sql));
        client.query("ROLLBACK");
        let refused = error_of(&answers[1])
            .is_some_and(|error| error.code() == "0A000" && error.fields()[&'H'].contains("max_prepared_transactions"));
        match refused {
            true => std::ops::ControlFlow::Break(()),
            false => std::ops::ControlFlow::Continue(()),
        }
    });
    // All else works: each shard alone, and two that can.
    run(&mut client, &["BEGIN", writes[1], "COMMIT"]);
    run(
        &mut client,
        &["BEGIN", writes[0], "SELECT * FROM accounts WHERE id = 1001", "COMMIT"],
    );
    run(
        &mut client,
        &[
            "BEGIN",
            writes[0],
            "UPDATE accounts SET balance = 2 WHERE id = 2001",
            "COMMIT",
        ],
    );
}
