//! Tables of made-up nodes, letter by letter.

use super::*;

fn up(name: &str, height: u64) -> NodeSample {
    NodeSample {
        name: name.into(),
        state: NodeState::Up,
        figures: Some(NodeFigures {
            height,
            lib: height.saturating_sub(5),
            certified: height.saturating_sub(1),
            round: height * 2,
            transactions: height * 100,
            finality_ms_p50: Some(182),
            finality_ms_p99: Some(410),
            peers: 3,
        }),
        resident_bytes: Some(211 * 1024 * 1024 + 1),
    }
}

fn without_figures(name: &str, state: NodeState) -> NodeSample {
    NodeSample {
        name: name.into(),
        state,
        figures: None,
        resident_bytes: None,
    }
}

const TERMINAL: Target = Target::Terminal { columns: 120 };

#[test]
fn a_terminal_gets_a_table_with_rates_from_the_second_drawing_on() {
    let mut table = Table::new(TERMINAL);
    let first = table.draw(Duration::from_secs(1), vec![up("v0", 100)]);
    assert_eq!(
        first,
        "1 s, 1 of 1 up; Ctrl-C stops all\n\
         node state      height      LIB certified rounds/s   tx/s p50ms p99ms peers  MiB\n\
         v0   up            100       95        99        -      -   182   410     3  212\n"
    );
    let second = table.draw(Duration::from_secs(3), vec![up("v0", 120)]);
    assert_eq!(
        second,
        "\x1b[3A\x1b[J3 s, 1 of 1 up; Ctrl-C stops all\n\
         node state      height      LIB certified rounds/s   tx/s p50ms p99ms peers  MiB\n\
         v0   up            120      115       119     20.0   1000   182   410     3  212\n"
    );
}

#[test]
fn a_node_that_is_not_up_says_why_below_the_table() {
    let mut table = Table::new(TERMINAL);
    let text = table.draw(
        Duration::from_secs(9),
        vec![
            without_figures("v0", NodeState::Starting),
            without_figures("v1", NodeState::Down("killed by signal 9\x1b[2J".into())),
        ],
    );
    assert_eq!(
        text,
        "9 s, 0 of 2 up; Ctrl-C stops all\n\
         node state      height      LIB certified rounds/s   tx/s p50ms p99ms peers  MiB\n\
         v0   starting        -        -         -        -      -     -     -     -    -\n\
         v1   down            -        -         -        -      -     -     -     -    -\n\
         v1: killed by signal 9 [2J\n"
    );
    let next = table.draw(Duration::from_secs(10), vec![up("v0", 1)]);
    assert!(next.starts_with("\x1b[5A\x1b[J"), "{next:?}");
}

#[test]
fn lines_are_cut_to_the_terminal() {
    let mut table = Table::new(Target::Terminal { columns: 10 });
    let text = table.draw(Duration::from_secs(1), vec![up("v0", 100)]);
    assert!(
        text.lines().all(|line| line.chars().count() <= 10),
        "{text}"
    );
}

#[test]
fn large_figures_keep_the_columns_apart() {
    let mut sample = up("v127", 99_999_999);
    sample.state = NodeState::NotReady("behind".into());
    let header_columns = HEADER.split_whitespace().count();
    let row = row(
        &sample,
        Rates {
            rounds_per_s: Some(19.9),
            transactions_per_s: Some(99_999.0),
        },
    );
    assert_eq!(row.split_whitespace().count(), header_columns, "{row}");
    assert_eq!(row.chars().count(), HEADER.chars().count());
}

#[test]
fn a_restarted_node_has_no_rate_for_one_interval() {
    let mut table = Table::new(Target::Lines);
    let _first = table.draw(Duration::from_secs(1), vec![up("v0", 100)]);
    let restarted = table.draw(Duration::from_secs(2), vec![up("v0", 50)]);
    assert!(
        restarted.contains("rounds_per_s=- tx_per_s=-"),
        "{restarted}"
    );
    let running = table.draw(Duration::from_secs(3), vec![up("v0", 51)]);
    assert!(
        running.contains("rounds_per_s=2.0 tx_per_s=100"),
        "{running}"
    );
}

#[test]
fn without_a_terminal_each_interval_is_one_line_with_the_worst_figures() {
    let mut table = Table::new(Target::Lines);
    let mut slow = up("v1", 90);
    slow.figures.as_mut().unwrap().finality_ms_p99 = Some(900);
    let down = without_figures("v2", NodeState::Down("exit code 70".into()));
    let line = table.draw(Duration::from_secs(5), vec![up("v0", 100), slow, down]);
    assert_eq!(
        line,
        "t=5s up=2/3 height=90 lib=85 certified=89 rounds_per_s=- tx_per_s=- finality_ms_p50=182 \
         finality_ms_p99=900 peers=3 rss_mib_max=212 v2=down(\"exit code 70\")\n"
    );
}

#[test]
fn two_samples_at_one_moment_have_no_rate() {
    let mut table = Table::new(Target::Lines);
    let _first = table.draw(Duration::from_secs(1), vec![up("v0", 100)]);
    let again = table.draw(Duration::from_secs(1), vec![up("v0", 101)]);
    assert!(again.contains("rounds_per_s=- "), "{again}");
}
