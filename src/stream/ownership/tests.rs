use super::*;

const TERMS: Terms = Terms {
    reorder: 0,
    lease: 5_000,
    ack_wait: 18_000,
};
const NONE: [u64; 0] = [];
const NO_SIGNS: [(u64, MessageSign); 0] = [];
/// When messages come.
const NOW: u64 = 1_000_000;

fn event(sequence: u64) -> StreamedEvent {
    StreamedEvent {
        sequence,
        visitor: 7,
        at: sequence * 10,
        record: Vec::new(),
    }
}

fn out(all: usize) -> Outstanding {
    Outstanding { all, again: 0 }
}

/// The owner, by pin `a`, from `NOW` on, of a partition in which nothing is out.
fn owner() -> Ownership {
    let mut partition = Ownership::new(TERMS);
    assert_eq!(partition.receive("a", event(1), false, NOW - 1), Arrival::Kept);
    assert_eq!(partition.confirm(Some("a"), out(1), NOW, NOW), NONE);
    assert_eq!(taken(&mut partition, NOW), [1]);
    assert_eq!(partition.end(1, DeliveryEnd::Over, NOW), Some(MessageSign::Over));
    partition.acknowledged(1, NOW);
    partition
}

fn taken(partition: &mut Ownership, now: u64) -> Vec<u64> {
    std::iter::from_fn(|| partition.take(now).map(|(event, _)| event.sequence)).collect()
}

#[test]
fn nothing_goes_before_all_that_is_out_is_here() {
    let mut partition = Ownership::new(TERMS);
    partition.receive("a", event(8), false, NOW);
    partition.confirm(Some("a"), out(3), NOW + 1, NOW + 1);
    assert!(partition.is_taking_over());
    assert_eq!(
        taken(&mut partition, NOW + 1),
        NONE,
        "two are out at another gateway"
    );
    partition.receive("a", event(7), true, NOW + 2);
    partition.receive("a", event(6), true, NOW + 3);
    partition.confirm(Some("a"), Outstanding { all: 3, again: 2 }, NOW + 4, NOW + 4);
    assert_eq!(taken(&mut partition, NOW + 4), [6, 7, 8]);
}

#[test]
fn what_was_lost_on_its_way_goes_before_what_came_since() {
    let mut partition = owner();
    // 2 was on its way when a connection broke. The servers deliver on, under the same pin.
    partition.missed(NOW);
    partition.receive("a", event(3), false, NOW + 1);
    partition.confirm(Some("a"), out(2), NOW + 2, NOW + 2);
    assert_eq!(taken(&mut partition, NOW + 2), NONE);
    partition.receive("a", event(2), true, NOW + 3);
    partition.confirm(Some("a"), Outstanding { all: 2, again: 1 }, NOW + 4, NOW + 4);
    assert_eq!(taken(&mut partition, NOW + 4), [2, 3]);
}

#[test]
fn what_somebody_took_out_of_the_stream_holds_nothing_up_for_ever() {
    let mut partition = Ownership::new(TERMS);
    for sequence in [1, 2, 3] {
        partition.receive("a", event(sequence), false, NOW);
    }
    // 1 and 2 were removed by hand.
    assert_eq!(partition.confirm(Some("a"), out(1), NOW + 1, NOW + 1), [1, 2, 3]);
    assert_eq!(taken(&mut partition, NOW + 1), NONE);
    partition.receive("a", event(3), true, NOW + 2);
    let again = Outstanding { all: 1, again: 1 };
    partition.confirm(Some("a"), again, NOW + 3, NOW + 3);
    assert_eq!(taken(&mut partition, NOW + 3), [3]);
}

#[test]
fn what_came_after_the_question_does_not_count() {
    let mut partition = Ownership::new(TERMS);
    partition.receive("a", event(8), false, NOW);
    partition.receive("a", event(9), false, NOW + 5);
    // When asked, 8 was here, and another one was out elsewhere.
    partition.confirm(Some("a"), out(2), NOW + 5, NOW + 9);
    assert_eq!(taken(&mut partition, NOW + 9), NONE);
    partition.confirm(Some("a"), out(2), NOW + 10, NOW + 10);
    assert_eq!(taken(&mut partition, NOW + 10), [8, 9]);
}

#[test]
fn a_late_acknowledgement_elsewhere_does_not_make_up_for_one_that_is_out_there() {
    let mut partition = Ownership::new(TERMS);
    partition.receive("a", event(2), true, NOW);
    partition.receive("a", event(3), false, NOW);
    // The gateway before has just acknowledged 2, and has 1.
    partition.confirm(Some("a"), out(2), NOW + 1, NOW + 1);
    assert_eq!(taken(&mut partition, NOW + 1), NONE);
    partition.receive("a", event(1), true, NOW + 2);
    let again = Outstanding { all: 2, again: 1 };
    assert_eq!(partition.confirm(Some("a"), again, NOW + 3, NOW + 3), [1, 2]);
    partition.receive("a", event(1), true, NOW + 4);
    partition.confirm(Some("a"), again, NOW + 5, NOW + 5);
    assert_eq!(taken(&mut partition, NOW + 5), [1, 3], "2 is over");
}

#[test]
fn what_another_gateway_acknowledges_late_is_not_sent_again() {
    let reorder = Terms {
        reorder: 500,
        ..TERMS
    };
    let mut partition = Ownership::new(reorder);
    for sequence in [1, 2] {
        partition.receive("a", event(sequence), true, NOW);
    }
    partition.receive("a", event(3), false, NOW);
    let again = |all| Outstanding { all, again: all - 1 };
    partition.confirm(Some("a"), again(3), NOW + 499, NOW + 499);
    assert!(partition.is_taking_over(), "it costs nothing to wait");
    // The gateway before had sent 1, and the servers have just heard of that.
    assert_eq!(
        partition.confirm(Some("a"), again(2), NOW + 500, NOW + 500),
        [1, 2]
    );
    partition.receive("a", event(2), true, NOW + 501);
    partition.confirm(Some("a"), again(2), NOW + 502, NOW + 502);
    assert_eq!(taken(&mut partition, NOW + 1_001), [2, 3]);
}

#[test]
fn a_server_that_forgot_what_was_delivered_again_holds_nothing_up_for_ever() {
    let mut partition = Ownership::new(TERMS);
    partition.receive("a", event(2), true, NOW);
    partition.confirm(Some("a"), out(1), NOW + 1, NOW + 1);
    assert_eq!(taken(&mut partition, NOW + 1), NONE);
    partition.confirm(Some("a"), out(1), NOW + 23_000, NOW + 23_000);
    assert_eq!(taken(&mut partition, NOW + 23_000), [2]);
}

#[test]
fn an_answer_that_took_too_long_gives_no_right() {
    let mut partition = Ownership::new(TERMS);
    partition.receive("a", event(1), false, NOW + 60_000);
    // Asked, and then paused.
    partition.confirm(Some("a"), out(0), NOW, NOW + 60_000);
    assert_eq!(taken(&mut partition, NOW + 60_000), NONE);
    assert!(partition.is_taking_over());
}

#[test]
fn what_comes_again_is_sent_once() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    assert_eq!(partition.receive("a", event(2), true, NOW), Arrival::Known);
    assert_eq!(taken(&mut partition, NOW), [2]);
    assert_eq!(partition.receive("a", event(2), true, NOW), Arrival::Known);
    partition.end(2, DeliveryEnd::Over, NOW);
    assert_eq!(partition.receive("a", event(2), true, NOW), Arrival::Over);
    partition.acknowledged(2, NOW);
    // It was on its way while the acknowledgement was confirmed.
    assert_eq!(partition.receive("a", event(2), true, NOW), Arrival::Over);
    assert_eq!(taken(&mut partition, NOW), NONE);
}

#[test]
fn what_is_over_is_forgotten_after_a_while() {
    let mut partition = owner();
    partition.signs(NOW + 29_999);
    assert_eq!(
        partition.receive("a", event(1), true, NOW + 29_999),
        Arrival::Over
    );
    partition.acknowledged(1, NOW + 29_999);
    partition.signs(NOW + 70_000);
    assert_eq!(
        partition.receive("a", event(1), true, NOW + 70_000),
        Arrival::Kept
    );
}

#[test]
fn another_gateways_pin_ends_the_lease_and_returns_what_waits() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    let (_, lease) = partition.take(NOW).unwrap();
    partition.receive("a", event(3), false, NOW);
    assert_eq!(partition.confirm(Some("b"), out(2), NOW + 1, NOW + 1), [3]);
    assert!(lease.is_revoked() && !partition.is_pinned());
    assert_eq!(partition.signs(NOW + 60_000), NO_SIGNS);
}

#[test]
fn what_waits_is_not_returned_by_one_who_may_have_lost_it_long_ago() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    let later = NOW + 60_000;
    assert_eq!(partition.confirm(Some("b"), out(1), later, later), NONE);
    assert!(!partition.is_pinned());
}

#[test]
fn what_is_on_the_wire_holds_up_the_events_behind_it_when_the_pin_comes_back() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    assert_eq!(taken(&mut partition, NOW), [2]);
    partition.receive("a", event(3), false, NOW);
    partition.lose();
    let later = NOW + 20_000;
    let again = Outstanding { all: 2, again: 2 };
    assert_eq!(partition.receive("c", event(2), true, later), Arrival::Known);
    assert_eq!(partition.receive("c", event(3), true, later), Arrival::Kept);
    partition.confirm(Some("c"), again, later + 1, later + 1);
    assert_eq!(
        taken(&mut partition, later + 1),
        NONE,
        "2 is on the wire under the old lease"
    );
    assert_eq!(
        partition.end(2, DeliveryEnd::Unsent, later + 2),
        None,
        "it is here again"
    );
    partition.confirm(Some("c"), again, later + 3, later + 3);
    assert_eq!(taken(&mut partition, later + 3), [2, 3]);
}

#[test]
fn what_delivery_lets_go_of_is_not_overtaken() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    let (_, lease) = partition.take(NOW).unwrap();
    partition.receive("a", event(3), false, NOW);
    assert_eq!(
        partition.end(2, DeliveryEnd::Unsent, NOW),
        Some(MessageSign::Returned)
    );
    assert!(lease.is_revoked(), "nor by what delivery has");
    partition.confirm(Some("a"), out(2), NOW + 1, NOW + 1);
    assert_eq!(taken(&mut partition, NOW + 1), NONE, "3 would overtake 2");
    partition.receive("a", event(2), true, NOW + 2);
    partition.confirm(Some("a"), Outstanding { all: 2, again: 1 }, NOW + 3, NOW + 3);
    assert_eq!(taken(&mut partition, NOW + 3), [2, 3]);
}

#[test]
fn what_may_be_on_its_way_is_not_returned() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    assert_eq!(taken(&mut partition, NOW), [2]);
    assert_eq!(partition.end(2, DeliveryEnd::Unknown, NOW), None);
}

#[test]
fn a_lease_that_ran_out_goes_on_under_the_same_pin() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    let (_, lease) = partition.take(NOW).unwrap();
    partition.receive("a", event(3), false, NOW);
    let later = NOW + 6_000;
    assert_eq!(
        (partition.due(later), taken(&mut partition, later)),
        (None, vec![])
    );
    partition.confirm(Some("a"), out(2), later, later);
    assert!(lease.holds(later));
    assert_eq!(taken(&mut partition, later), [3]);
}

#[test]
fn what_was_dropped_long_after_the_last_answer_is_not_returned() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    assert_eq!(taken(&mut partition, NOW), [2]);
    assert_eq!(partition.end(2, DeliveryEnd::Unsent, NOW + 15_000), None);
    assert!(!partition.knows(2));
}

#[test]
fn a_new_pin_for_the_same_gateway_keeps_what_it_has() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    let (_, lease) = partition.take(NOW).unwrap();
    partition.receive("a", event(3), false, NOW);
    // The servers' leader has changed.
    partition.receive("b", event(4), false, NOW + 3_000);
    assert!(lease.holds(NOW + 3_000) && partition.is_taking_over());
    partition.confirm(Some("b"), out(3), NOW + 3_001, NOW + 3_001);
    assert_eq!(taken(&mut partition, NOW + 3_001), [3, 4]);
    assert!(lease.holds(NOW + 8_000), "the lease goes on");
}

#[test]
fn the_lease_lasts_from_the_question_on_that_the_servers_answered() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    let (_, lease) = partition.take(NOW).unwrap();
    partition.confirm(Some("a"), out(1), NOW + 1_000, NOW + 1_500);
    assert!(lease.holds(NOW + 5_999) && !lease.holds(NOW + 6_000));
}

#[test]
fn messages_that_stay_give_signs_of_life_and_acknowledgements_are_repeated() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    partition.receive("a", event(3), false, NOW + 500);
    assert_eq!(partition.take(NOW).map(|(event, _)| event.sequence), Some(2));
    assert_eq!(partition.signs(NOW + 1_999), NO_SIGNS);
    assert_eq!(partition.signs(NOW + 2_000), [(2, MessageSign::Working)]);
    assert_eq!(partition.signs(NOW + 2_500), [(3, MessageSign::Working)]);
    partition.end(2, DeliveryEnd::Over, NOW + 2_600);
    partition.lose();
    assert_eq!(partition.signs(NOW + 2_999), NO_SIGNS);
    assert_eq!(partition.signs(NOW + 3_000), [(2, MessageSign::Over)]);
    partition.acknowledged(2, NOW + 3_700);
    assert_eq!(partition.signs(NOW + 10_000), NO_SIGNS);
}

#[test]
fn nothing_more_is_handed_over_while_the_servers_hear_nothing() {
    let mut partition = owner();
    partition.receive("a", event(2), false, NOW);
    assert_eq!(taken(&mut partition, NOW), [2]);
    partition.end(2, DeliveryEnd::Over, NOW + 100);
    partition.receive("a", event(3), false, NOW + 200);
    partition.receive("a", event(4), false, NOW + 200);
    assert_eq!(taken(&mut partition, NOW + 1_100), NONE);
    // They heard the question, and will hear of the end.
    partition.confirm(Some("a"), out(3), NOW + 1_100, NOW + 1_101);
    assert_eq!(taken(&mut partition, NOW + 1_101), [3, 4]);
}
