//! The walk against a server that answers as Primero does, and what it refuses to believe.

use super::*;

fn id(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// A server of rows `(id, ms)` that answers as Primero does; the walk's stops.
fn walk(rows: &[(u64, i64)], from: i64) -> (Vec<u64>, Vec<Ask>, Next) {
    let mut walk = Walk::new(from);
    let (mut shown, mut asked) = (Vec::new(), Vec::new());
    loop {
        let ask = walk.ask();
        asked.push(ask);
        assert!(asked.len() < 200, "the walk does not end");
        let (mut found, per, skip): (Vec<_>, _, _) = match ask {
            Ask::From(from) => {
                let after = |row: &&(u64, i64)| row.1.div_euclid(1000) >= from;
                (rows.iter().filter(after).collect(), PAGE_ROWS, 0)
            }
            Ask::Second { at, page } => {
                let inside = |row: &&(u64, i64)| row.1.div_euclid(1000) == at;
                (
                    rows.iter().filter(inside).collect(),
                    CROWD_ROWS,
                    (page - 1) * CROWD_ROWS,
                )
            }
        };
        if let Ask::From(_) = ask {
            found.sort_by_key(|row| row.1);
        }
        let total = found.len() as u64;
        for row in found.into_iter().skip(skip as usize).take(per as usize) {
            walk.row(&id(row.0), row.1);
            shown.push(row.0);
        }
        match walk.heard(total, per) {
            Next::Ask(_) => {}
            next => return (shown, asked, next),
        }
    }
}

#[test]
fn every_row_is_shown_whatever_its_company() {
    for (count, each_ms) in [
        (0, 1),
        (1, 1),
        (199, 7),
        (200, 7),
        (201, 7),
        (1500, 9),
        (1500, 400),
        (3000, 0),
        (2500, 3),
    ] {
        let rows: Vec<(u64, i64)> = (0..count).map(|n| (n, 50_000 + n as i64 * each_ms)).collect();
        let (mut shown, asked, next) = walk(&rows, 50);
        shown.sort_unstable();
        shown.dedup();
        assert_eq!(
            (shown.len() as u64, next),
            (count, Next::Whole),
            "{count} rows {each_ms} ms apart: {asked:?}"
        );
    }
}

#[test]
fn a_page_costs_its_rows_and_the_second_it_ends_in() {
    let rows: Vec<(u64, i64)> = (0..1000).map(|n| (n, n as i64 * 1000)).collect();
    let (shown, asked, _) = walk(&rows, 0);
    assert_eq!(asked.len(), 6);
    assert!(shown.len() <= 1010, "{}", shown.len());
}

#[test]
fn an_answer_that_was_not_asked_for_is_not_believed() {
    let hear = |ask: i64, rows: &[i64], total: u64| {
        let mut walk = Walk::new(ask);
        rows.iter()
            .enumerate()
            .for_each(|(n, ms)| walk.row(&id(n as u64), *ms));
        walk.heard(total, PAGE_ROWS)
    };
    assert_eq!(hear(9, &[8_999], 1), Next::Wrong(Wrong::Unfiltered));
    assert_eq!(hear(9, &[9_500, 9_000], 2), Next::Wrong(Wrong::Disordered));
    assert_eq!(hear(9, &[9_000], 2), Next::Wrong(Wrong::Short));
    assert_eq!(hear(9, &[9_000, 9_000], 2), Next::Whole);
    assert_eq!(hear(9, &[], 0), Next::Whole);
}

#[test]
fn a_crowded_second_that_loses_a_case_while_it_is_read_is_read_again() {
    let mut walk = Walk::new(7);
    (0..PAGE_ROWS).for_each(|n| walk.row(&id(n), 7_000));
    assert_eq!(
        walk.heard(1500, PAGE_ROWS),
        Next::Ask(Ask::Second { at: 7, page: 1 })
    );
    (0..CROWD_ROWS).for_each(|n| walk.row(&id(n), 7_000));
    assert_eq!(
        walk.heard(1500, CROWD_ROWS),
        Next::Ask(Ask::Second { at: 7, page: 2 })
    );
    // Case 0 was saved again and left: the second page begins one further on, and case 1000 was on neither.
    (1001..1500).for_each(|n| walk.row(&id(n), 7_000));
    assert_eq!(
        walk.heard(1499, CROWD_ROWS),
        Next::Ask(Ask::Second { at: 7, page: 1 })
    );
    (1..=CROWD_ROWS).for_each(|n| walk.row(&id(n), 7_000));
    assert_eq!(
        walk.heard(1499, CROWD_ROWS),
        Next::Ask(Ask::Second { at: 7, page: 2 })
    );
    (1001..1500).for_each(|n| walk.row(&id(n), 7_000));
    assert_eq!(walk.heard(1499, CROWD_ROWS), Next::Ask(Ask::From(8)));
    assert_eq!(walk.done().0, 8);
}

#[test]
fn a_first_mark_stands_now_or_where_it_was_told_to() {
    let newest = Some(Last { id: id(1), ms: 5_500 });
    let now = Mark::first(5_500, newest.clone(), None);
    assert_eq!(
        (now.seen, now.start, now.born, now.from(false)),
        (5, 5_501, 5_500, 5 - OVERLAP_S)
    );
    let past = Mark::first(5_500, newest, Some(2));
    assert_eq!(
        (past.seen, past.start, past.born, past.last),
        (2, 2_000, 5_500, None)
    );
    assert_eq!(Mark::first(5_500, None, Some(9)).seen, 5, "a day ahead is now");
}

#[test]
fn a_look_back_reaches_over_the_one_before_it() {
    let mut mark = Mark::first(100_000, None, None);
    mark.advance(500, None);
    assert_eq!(
        (mark.from(false), mark.from(true)),
        (500 - OVERLAP_S, 100 - OVERLAP_S)
    );
    mark.look_again();
    mark.advance(900, None);
    assert_eq!(mark.from(true), 100 - OVERLAP_S);
    mark.look_again();
    assert_eq!(mark.from(true), 500 - OVERLAP_S);
    mark.advance(40, None);
    assert_eq!(mark.seen, 900, "it never goes back");
}
