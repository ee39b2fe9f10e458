//! One fault a test.

use super::*;

#[test]
fn lines_arrive_once_and_a_restart_goes_on() {
    let mut machine = Machine::new("*.log*");
    machine.write("a.log", lines(0..3));
    machine.run(1);
    machine.write("a.log", "half a li");
    machine.run(20);
    assert_eq!(machine.messages(), texts(0..3));
    machine.restart();
    machine.run(1);
    machine.write("a.log", "ne\n");
    machine.run(1);
    assert_eq!(machine.messages()[3..], ["half a line"]);
}

#[test]
fn nothing_is_read_while_the_bus_is_away_and_nothing_lost() {
    let mut machine = Machine::new("*.log*");
    machine.bus.0.lock().full = true;
    machine.write("a.log", lines(0..5));
    machine.run(2);
    for number in [1, 2, 3] {
        machine.rename("a.log", &format!("a.log.{number}"));
        machine.write("a.log", lines(number * 5..number * 5 + 5));
        machine.run(1);
    }
    machine.remove("a.log.1");
    machine.run(3);
    assert!(machine.messages().is_empty());
    machine.bus.0.lock().full = false;
    machine.run(10);
    assert_eq!(machine.sorted(), texts(0..20));
}

#[test]
fn rotations_during_a_downtime_are_followed() {
    let mut machine = Machine::new("*.log*");
    machine.write("a.log", lines(0..100));
    machine.run(2);
    machine.kill();
    machine.write("a.log", lines(100..110));
    machine.rename("a.log", "a.log.1");
    machine.write("a.log", lines(110..200));
    machine.rename("a.log.1", "a.log.2");
    machine.rename("a.log", "a.log.1");
    machine.write("a.log", lines(200..300));
    let packed = machine.gzip("a.log.2");
    machine.write("a.log.2.gz", packed);
    machine.remove("a.log.2");
    machine.start();
    machine.run(5);
    assert_eq!(machine.sorted(), texts(0..300));
    machine.restart();
    machine.run(5);
    assert_eq!(machine.sorted(), texts(0..300));
}

#[test]
fn copy_and_truncate_with_the_shipper_up_and_down() {
    for up in [true, false] {
        for read in [true, false] {
            let mut machine = Machine::new("*.log*");
            machine.write("a.log", lines(0..50));
            machine.run(2);
            if !up {
                machine.kill();
            }
            if !read {
                machine.bus.0.lock().full = true;
            }
            machine.write("a.log", lines(50..100));
            machine.run(1);
            machine.copy("a.log", "a.log.1");
            machine.run(1);
            machine.truncate("a.log");
            machine.write("a.log", lines(100..300));
            machine.run(1);
            machine.rename("a.log.1", "a.log.2");
            machine.copy("a.log", "a.log.1");
            machine.truncate("a.log");
            machine.run(1);
            machine.write("a.log", lines(300..400));
            machine.bus.0.lock().full = false;
            if !up {
                machine.start();
            }
            machine.run(40);
            assert_eq!(machine.sorted(), texts(0..400), "up: {up}, read: {read}");
            machine.restart();
            machine.run(40);
            assert_eq!(machine.sorted(), texts(0..400), "up: {up}, read: {read}, again");
        }
    }
}

#[test]
fn a_copy_outside_of_the_patterns_takes_nothing_along() {
    let mut machine = Machine::new("*.log");
    machine.write("a.log", lines(0..50));
    machine.run(2);
    machine.copy("a.log", "a.old");
    machine.truncate("a.log");
    machine.write("a.log", lines(50..200));
    machine.run(2);
    assert_eq!(machine.sorted(), texts(0..200));
}

#[test]
fn a_copy_that_ends_before_what_was_read_is_known_too() {
    let mut machine = Machine::new("*.log*");
    machine.write("a.log", lines(0..100));
    machine.copy("a.log", "a.log.1");
    machine.write("a.log", lines(100..110));
    machine.run(2);
    machine.truncate("a.log");
    machine.write("a.log", lines(110..120));
    machine.run(40);
    assert_eq!(machine.sorted(), texts(0..120));
    machine.restart();
    machine.run(40);
    machine.rename("a.log.1", "a.log.2");
    let packed = machine.gzip("a.log.2");
    machine.write("a.log.2.gz", packed);
    machine.remove("a.log.2");
    machine.restart();
    machine.run(40);
    assert_eq!(machine.sorted(), texts(0..120));
}

#[test]
fn truncated_and_regrown_past_the_position() {
    let mut machine = Machine::new("*.log");
    machine.write("a.log", lines(0..10));
    machine.run(2);
    machine.kill();
    machine.truncate("a.log");
    machine.write("a.log", lines(10..100));
    machine.start();
    machine.run(2);
    assert_eq!(machine.sorted(), texts(0..100));
}

#[test]
fn an_inode_number_used_again_is_a_new_file() {
    let mut machine = Machine::new("*.log");
    for round in 0..20 {
        machine.write("a.log", lines(round * 10..round * 10 + 10));
        machine.run(3);
        machine.kill();
        machine.remove("a.log");
        machine.start();
    }
    assert_eq!(machine.messages(), texts(0..200));
}

#[test]
fn atomic_replacement_drains_the_old_file() {
    let mut machine = Machine::new("a.log");
    machine.write("a.log", lines(0..5));
    machine.run(1);
    machine.bus.0.lock().full = true;
    machine.write("a.log", lines(5..10));
    machine.run(1);
    machine.write("tmp", lines(10..15));
    machine.rename("tmp", "a.log");
    machine.run(2);
    machine.bus.0.lock().full = false;
    machine.run(2);
    assert_eq!(machine.sorted(), texts(0..15));
    machine.run(10);
    assert_eq!(machine.tail.as_ref().unwrap().open_files, 1, "the old file is let go");
}

#[test]
fn the_same_header_proves_nothing() {
    let mut machine = Machine::new("*.log");
    let header = "#".repeat(4095) + "\n";
    for number in 0..30 {
        machine.write(&format!("{number}.log"), format!("{header}{number:03} of its own\n"));
    }
    machine.run(20);
    machine.kill();
    machine.remove("7.log");
    machine.write("new.log", format!("{header}999 of its own\n"));
    machine.start();
    machine.run(20);
    let own = machine.sorted().into_iter().filter(|line| line.contains("own")).count();
    assert_eq!((own, machine.messages().len()), (31, 62));
}

#[test]
fn one_byte_files_ship_even_when_they_are_alike() {
    let mut machine = Machine::new("*.log");
    machine.config.incomplete_line_timeout = logmill_core::config::Period::secs(1);
    machine.restart();
    for number in 0..5 {
        machine.write(&format!("{number}.log"), "x\n");
    }
    machine.run(30);
    assert_eq!(machine.messages(), ["x"; 5]);
    machine.restart();
    machine.run(30);
    assert_eq!(machine.messages().len(), 5);
}

#[test]
fn compressed_while_being_read_and_torn_files_wait() {
    let mut machine = Machine::new("*.log*");
    machine.write("a.log", lines(0..2000));
    machine.step(100);
    machine.rename("a.log", "a.log.1");
    let packed = machine.gzip("a.log.1");
    machine.write("a.log.1.gz", &packed[..packed.len() / 2]);
    machine.run(1);
    machine.restart();
    machine.write("a.log.1.gz", &packed[packed.len() / 2..]);
    machine.remove("a.log.1");
    machine.run(20);
    assert_eq!(machine.messages(), texts(0..2000));

    machine.write("b.log.1.gz", &packed[..packed.len() / 3]);
    let before = machine.messages().len();
    machine.run(20);
    assert_eq!(machine.messages().len(), before, "the torn copy of what is known");
    let mut other = Machine::new("*.gz");
    other.write("b.gz", &packed[..packed.len() / 3]);
    other.run(5);
    let some = other.messages().len();
    assert!(some < 2000);
    other.restart();
    other.run(5);
    other.write("b.gz", &packed[packed.len() / 3..]);
    other.run(30);
    assert_eq!(other.messages(), texts(0..2000));
    other.rename("b.gz", "c.gz");
    other.restart();
    other.run(5);
    assert_eq!(other.messages().len(), 2000);
}

#[test]
fn corrupt_compressed_files_are_told_and_harm_nobody() {
    let mut machine = Machine::new("*.log*");
    machine.write("a.log", lines(0..2000));
    let mut packed = machine.gzip("a.log");
    machine.remove("a.log");
    packed.truncate(200);
    packed.extend([0xAA; 300]);
    machine.write("a.log.1.gz", &packed);
    machine.write("b.log.1.gz", "not compressed at all");
    machine.write("c.log", lines(0..3));
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    std::fs::File::open(machine.path("a.log.1.gz")).unwrap().set_modified(old).unwrap();
    machine.step(100);
    machine.step(100);
    assert!(machine.board.snapshot().problems[0].contains(".gz"));
    machine.run(5);
    let good = machine.sorted().into_iter().filter(|line| texts(0..3).contains(line)).count();
    assert!(good >= 3);
}

#[test]
fn deleted_files_are_read_up_and_let_go() {
    let mut machine = Machine::new("*.log");
    machine.write("a.log", lines(0..5000));
    machine.step(100);
    machine.step(100);
    machine.write("a.log", lines(5000..20000));
    machine.remove("a.log");
    machine.run(5);
    assert_eq!(machine.messages(), texts(0..20000));
    machine.run(5);
    assert_eq!(machine.tail.as_ref().unwrap().open_files, 0);
}

#[test]
fn few_descriptors_do_for_many_files() {
    let mut machine = Machine::new("*.log");
    machine.open_max = 16;
    machine.restart();
    for number in 0..200 {
        machine.write(&format!("{number:03}.log"), lines(number..number + 1));
    }
    machine.run(20);
    assert_eq!(machine.sorted(), texts(0..200));
    assert!(machine.tail.as_ref().unwrap().open_files <= 16);
    for number in 0..200 {
        machine.write(&format!("{number:03}.log"), lines(number + 200..number + 201));
    }
    machine.run(30);
    assert_eq!(machine.sorted(), texts(0..400));
}

#[test]
fn holes_are_skipped_and_counted() {
    let mut machine = Machine::new("*.log");
    machine.write("a.log", lines(0..5));
    machine.run(1);
    // A writer without O_APPEND goes on at its old place after a truncation.
    machine.truncate("a.log");
    let file = std::fs::OpenOptions::new().write(true).open(machine.path("a.log")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, lines(5..8).as_bytes(), 3 << 20).unwrap();
    machine.run(3);
    assert_eq!(machine.messages(), texts(0..8));
    assert_eq!(machine.board.counter("nul_bytes_skipped").total(), 3 << 20);
}

#[test]
fn a_line_of_fifty_megabytes_comes_whole_in_parts() {
    let mut machine = Machine::new("*.log");
    let long: Vec<u8> = (0..50 << 20).map(|place: u32| b'a' + (place / 7 % 26) as u8).collect();
    machine.write("a.log", lines(0..1));
    machine.write("a.log", &long);
    machine.write("a.log", "\n");
    machine.write("a.log", lines(1..2));
    machine.run(5);
    let messages = machine.messages();
    assert_eq!(messages.len(), 7);
    assert!(messages[1..6].concat().as_bytes() == long);
    assert!(machine.tail.as_ref().unwrap().buffers_bytes() <= 16 << 20);
}

#[test]
fn joined_lines_are_flushed_after_a_while_and_never_overlap() {
    let multiline = crate::config::Multiline { pattern: r"^\s".into(), ..crate::config::Multiline::default() };
    let config = Filestream { multiline: Some(multiline), ..Filestream::default() };
    let mut machine = Machine::with("*.log", config);
    machine.write("a.log", "one\n  at a\ntwo\n  at b\n");
    machine.run(1);
    assert_eq!(machine.messages(), ["one\n  at a"]);
    for _ in 0..60 {
        machine.step(100);
    }
    // Stored, but the shipper dies before it hears of it; then more of the same comes.
    while machine.bus.0.lock().store(false) {}
    machine.kill();
    machine.write("a.log", "  at c\nthree\n");
    machine.start();
    machine.run(10);
    assert_eq!(machine.messages(), ["one\n  at a", "two\n  at b", "  at c", "three"]);
}

#[test]
fn a_refused_batch_is_sent_again_with_all_after_it() {
    let mut machine = Machine::new("*.log");
    machine.write("a.log", lines(0..5));
    machine.step(100);
    machine.step(100);
    machine.write("a.log", lines(5..10));
    machine.step(100);
    {
        let mut memory = machine.bus.0.lock();
        let first = memory.queue.pop_front().unwrap();
        let refused = Some("no".to_owned());
        memory.answers.push(Answer { number: first.number, source: first.source, refused });
    }
    machine.run(2);
    assert_eq!(machine.messages(), texts(0..10));
}

#[test]
fn utf_16_lines_and_their_byte_order_mark() {
    let config = Filestream { encoding: Some("utf-16le".into()), ..Filestream::default() };
    let mut machine = Machine::with("*.log", config);
    let bytes: Vec<u8> = "\u{feff}grün\r\n漢字\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    machine.write("a.log", &bytes[..7]);
    machine.run(1);
    machine.write("a.log", &bytes[7..]);
    machine.run(1);
    assert_eq!(machine.messages(), ["grün", "漢字"]);
}

#[test]
fn what_was_there_at_the_first_start_can_be_left_out() {
    let config = Filestream { start_at: crate::config::StartAt::End, ..Filestream::default() };
    let mut machine = Machine::with("*.log*", config);
    machine.kill();
    let data = folder();
    machine.data = data;
    machine.write("a.log", lines(0..10));
    machine.start();
    machine.run(1);
    machine.write("a.log", lines(10..12));
    machine.write("b.log", lines(12..14));
    machine.run(3);
    machine.kill();
    machine.write("c.log", lines(14..16));
    machine.start();
    machine.run(3);
    assert_eq!(machine.sorted(), texts(10..16));
}

#[test]
fn unreadable_files_and_pipes_are_told_and_harm_nobody() {
    let mut machine = Machine::new("*.log");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        machine.path("pipe.log"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    std::os::unix::fs::symlink("/nowhere", machine.path("dangling.log")).unwrap();
    machine.write("a.log", lines(0..3));
    std::os::unix::fs::symlink(machine.path("a.log"), machine.path("z.log")).unwrap();
    machine.run(3);
    assert_eq!(machine.messages(), texts(0..3));
}

#[test]
fn a_busy_file_does_not_starve_the_others() {
    let mut machine = Machine::new("*.log");
    machine.write("busy.log", lines(0..60_000));
    machine.write("calm.log", "calm\n");
    for _ in 0..4 {
        machine.step(10);
    }
    machine.deliver();
    assert!(machine.messages().contains(&"calm".to_owned()));
    assert!(machine.messages().len() < 60_000);
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let mut machine = Machine::new("*.log*");
    machine.write("a.log", lines(0..10));
    let file = std::fs::File::open(machine.path("a.log")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2_145_916_800)).unwrap();
    machine.run(1);
    machine.rename("a.log", "a.log.1");
    machine.write("a.log", lines(10..20));
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    machine.restart();
    machine.run(3);
    assert_eq!(machine.sorted(), texts(0..20));
}
