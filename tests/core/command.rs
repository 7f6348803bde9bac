//! Commands are obeyed once, in time, by the gateway they name, and only under a clock that can tell.

use referral_gateway::core::command::{Command, LIFE_MAX_S, Memory, Order, REMEMBERED_MAX, Refusal, open};
use referral_gateway::core::time::{BUILD_FLOOR, Trust, Wall};

const NOW: i64 = BUILD_FLOOR + 1_000_000;
const US: &str = "kh-pilot/kpt-03";

fn clock(unix: i64) -> Wall {
    Wall {
        unix,
        trust: Trust::Synced,
    }
}

fn command(number: u64, expires: i64) -> Command {
    Command {
        id: format!("{number:032x}"),
        gateway: US.to_owned(),
        order: Order::Sync,
        expires,
    }
}

#[test]
fn what_is_signed_is_read_back_for_every_order() {
    for order in [
        Order::Sync,
        Order::Reannounce,
        Order::Requeue(None),
        Order::Requeue(Some(17)),
        Order::Lock,
        Order::Unlock,
    ] {
        let command = Command {
            order,
            ..command(1, NOW + 60)
        };
        assert_eq!(Command::read(&command.text()), Ok(command));
    }
}

#[test]
fn a_text_that_says_more_or_less_than_known_is_not_understood() {
    let good = command(1, NOW).text();
    assert!(Command::read(&good).is_ok());
    for bad in [
        "",
        "[]",
        "{}",
        &good.replace("sync", "format"),
        &good.replace("expires", "expire"),
        &good.replace("\"cmd\"", "\"only_if\":1,\"cmd\""),
        &good.replace("\"cmd\"", "\"seq\":17,\"cmd\""),
        &good.replace("\"cmd\"", "\"seq\":\"17\",\"cmd\""),
        &good.replace(&format!("{:032x}", 1), "short"),
        &good.replace(&NOW.to_string(), "1e99"),
    ] {
        assert_eq!(Command::read(bad), Err(Refusal::Unknown), "{bad}");
    }
    for bad in [
        &b"\xff"[..],
        b"{}",
        b"[1]",
        br#"{"signed":1,"sig":"x"}"#,
        br#"{"signed":"x"}"#,
    ] {
        assert_eq!(open(bad), None);
    }
}

#[test]
fn each_reason_to_refuse_is_its_own() {
    let mut memory = Memory::default();
    let mut admit = |command: &Command, wall| memory.admit(command, US, wall);
    let other = Command {
        gateway: "kh-pilot/kpt-04".to_owned(),
        ..command(1, NOW + 60)
    };
    assert_eq!(admit(&other, clock(NOW)), Err(Refusal::OtherGateway));
    for trust in [Trust::Unset, Trust::Floor] {
        let wall = Wall { unix: NOW, trust };
        assert_eq!(admit(&command(1, NOW + 60), wall), Err(Refusal::Clock));
    }
    let unlock = Command {
        order: Order::Unlock,
        ..command(9, NOW + 60)
    };
    let unset = Wall {
        unix: NOW,
        trust: Trust::Unset,
    };
    assert_eq!(admit(&unlock, unset), Err(Refusal::Clock));
    let floor = Wall {
        unix: NOW,
        trust: Trust::Floor,
    };
    assert_eq!(admit(&unlock, floor), Ok(()), "or a locked box stays locked");
    assert_eq!(admit(&unlock, floor), Err(Refusal::Replay));
    assert_eq!(admit(&command(1, NOW), clock(NOW)), Err(Refusal::Expired));
    assert_eq!(
        admit(&command(1, NOW + LIFE_MAX_S + 1), clock(NOW)),
        Err(Refusal::LivesTooLong)
    );
    assert_eq!(admit(&command(1, NOW + 60), clock(NOW)), Ok(()));
    assert_eq!(admit(&command(1, NOW + 60), clock(NOW + 1)), Err(Refusal::Replay));
    assert_eq!(
        admit(&command(1, NOW + 90), clock(NOW + 1)),
        Err(Refusal::Replay),
        "an id is an id"
    );
}

#[test]
fn the_memory_is_bounded_and_forgets_only_what_has_expired() {
    let mut memory = Memory::default();
    let many = REMEMBERED_MAX as u64;
    for number in 0..many {
        assert_eq!(memory.admit(&command(number, NOW + 60), US, clock(NOW)), Ok(()));
    }
    assert_eq!(
        memory.admit(&command(many, NOW + 60), US, clock(NOW)),
        Err(Refusal::TooMany)
    );
    assert_eq!(
        memory.admit(&command(many, NOW + 120), US, clock(NOW + 61)),
        Ok(())
    );
    let kept = serde_json::to_vec(&memory).unwrap();
    assert!(kept.len() < 200, "the others are forgotten");
    let mut restarted: Memory = serde_json::from_slice(&kept).unwrap();
    assert_eq!(
        restarted.admit(&command(many, NOW + 120), US, clock(NOW + 62)),
        Err(Refusal::Replay)
    );
    // A clock that goes back brings no forgotten command back to life.
    assert_eq!(
        restarted.admit(&command(3, NOW + 60), US, clock(NOW)),
        Err(Refusal::Expired)
    );
}
