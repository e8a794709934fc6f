//! A harness that cannot fail shows nothing: these machines break one law each.

use super::*;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::net::Ipv4Addr;

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Spins,
    ReusesJobs,
    ReusesDials,
    AbandonsWhatNeverWas,
    WritesToNobody,
    ClosesNobody,
    StopsNobody,
    ResumesNobody,
    WritesAfterClose,
    ClosesTwice,
    WritesWhatIsNotThere,
    SendsWhatIsNotThere,
    FloodsOutputs,
    FloodsEvents,
    ForgetsAnAnswer,
    AnswersTwice,
    AnswersAnother,
    RefusesTwice,
    DependsOnMemory,
    Panics,
    IsNotAsked,
    Keeps,
}

/// Answers every command with its number, and does one thing wrong.
struct Broken {
    how: How,
    outputs: VecDeque<Output<()>>,
    events: VecDeque<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Answer(u32),
    Refusal,
    Notice(u64),
}

const NOBODY: ConnId = ConnId { slot: 77_777, generation: 0 };

fn write(conn: ConnId) -> Output<()> {
    Output::Write { conn, part: Part::Bytes(0..0) }
}

impl Machine for Broken {
    type Command = u32;
    type Event = Told;
    type Job = ();
    type Done = ();

    fn handle_command(&mut self, _: Instant, number: u32) {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let mut answers = 1;
        match self.how {
            How::ReusesJobs => self.outputs.push_back(Output::Job { id: JobId(0), job: () }),
            How::ReusesDials => self.outputs.push_back(Output::Connect { dial: DialId(0), to }),
            How::AbandonsWhatNeverWas => self.outputs.push_back(Output::Abandon { dial: DialId(9) }),
            How::WritesToNobody => self.outputs.push_back(write(NOBODY)),
            How::ClosesNobody => self.outputs.push_back(Output::Close { conn: NOBODY, flush: false }),
            How::StopsNobody => self.outputs.push_back(Output::StopReading { conn: NOBODY }),
            How::ResumesNobody => self.outputs.push_back(Output::ResumeReading { conn: NOBODY }),
            How::SendsWhatIsNotThere => {
                self.outputs.push_back(Output::Datagram { socket: SocketId(0), to, bytes: 0..1 });
            }
            How::FloodsOutputs => (0..21).for_each(|n| self.outputs.push_back(Output::Connect { dial: DialId(n), to })),
            How::FloodsEvents => self.events.extend((0..21).map(Told::Notice)),
            How::ForgetsAnAnswer => answers = u32::from(number != 3),
            How::AnswersTwice => answers = 2,
            How::AnswersAnother => return self.events.push_back(Told::Answer(number + 1)),
            How::RefusesTwice => return self.events.extend([Told::Refusal; 2]),
            How::DependsOnMemory => {
                self.events.push_back(Told::Notice(std::collections::hash_map::RandomState::new().hash_one(1)));
            }
            How::Panics => panic!("as it was made to"),
            _ => {}
        }
        if self.how == How::Keeps && number % 2 == 0 {
            return self.events.push_back(Told::Refusal);
        }
        (0..answers).for_each(|_| self.events.push_back(Told::Answer(number)));
    }

    fn handle_input(&mut self, _: Instant, input: Input<'_, ()>) {
        let Input::Accepted { conn, .. } = input else { return };
        let close = || Output::Close { conn, flush: true };
        match self.how {
            How::WritesAfterClose => self.outputs.extend([close(), write(conn)]),
            How::ClosesTwice => self.outputs.extend([close(), close()]),
            How::WritesWhatIsNotThere => self.outputs.push_back(Output::Write { conn, part: Part::Bytes(0..1) }),
            How::Keeps => self.outputs.extend([write(conn), close()]),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_event(&mut self) -> Option<Told> {
        self.events.pop_front()
    }

    fn poll_output(&mut self, _: &mut Vec<u8>) -> Option<Output<()>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.how == How::Spins).then_some(Instant::ZERO)
    }
}

struct Make(How);

impl Subject for Make {
    type Machine = Broken;

    fn machine(&mut self, _: u64) -> Broken {
        Broken { how: self.0, outputs: VecDeque::new(), events: VecDeque::new() }
    }

    fn command(&mut self, rng: &mut Rng) -> u32 {
        rng.below(5)
    }

    fn ask(&self, number: &u32) -> Option<Ask> {
        Some(Ask { about: String::new(), kind: number.to_string() })
    }

    fn end(&self, told: &Told) -> Option<End> {
        let kind = match told {
            Told::Answer(number) => Some(number.to_string()),
            Told::Refusal => None,
            Told::Notice(_) => return None,
        };
        Some(End { about: String::new(), kind })
    }

    fn most(&self, _: Call) -> usize {
        20
    }

    fn source(&self) -> Option<&'static str> {
        // Commands are numbers below 5.
        (self.0 == How::IsNotAsked).then_some("pub enum Command {\n    0,\n    1,\n    2,\n    3,\n    4,\n    5,\n}")
    }
}

fn check(how: How) {
    hold(&format!("{how:?}"), || Make(how), 3, 200);
}

#[test]
fn nothing_in_a_machine_that_keeps_the_laws() {
    check(How::Keeps);
}

#[test]
#[should_panic(expected = "a law is broken: timers spin")]
fn a_machine_that_spins() {
    check(How::Spins);
}

#[test]
#[should_panic(expected = "a law is broken: JobId(0) is used twice")]
fn a_machine_that_names_two_jobs_alike() {
    check(How::ReusesJobs);
}

#[test]
#[should_panic(expected = "a law is broken: DialId(0) is used twice")]
fn a_machine_that_names_two_dials_alike() {
    check(How::ReusesDials);
}

#[test]
#[should_panic(expected = "a law is broken: DialId(9) is abandoned and never was")]
fn a_machine_that_abandons_a_dial_that_never_was() {
    check(How::AbandonsWhatNeverWas);
}

#[test]
#[should_panic(expected = "a law is broken: ConnId { slot: 77777, generation: 0 } never was")]
fn a_machine_that_writes_to_a_connection_that_never_was() {
    check(How::WritesToNobody);
}

#[test]
#[should_panic(expected = "a law is broken: ConnId { slot: 77777, generation: 0 } never was")]
fn a_machine_that_closes_a_connection_that_never_was() {
    check(How::ClosesNobody);
}

#[test]
#[should_panic(expected = "a law is broken: ConnId { slot: 77777, generation: 0 } never was")]
fn a_machine_that_stops_reading_a_connection_that_never_was() {
    check(How::StopsNobody);
}

#[test]
#[should_panic(expected = "a law is broken: ConnId { slot: 77777, generation: 0 } never was")]
fn a_machine_that_resumes_reading_a_connection_that_never_was() {
    check(How::ResumesNobody);
}

#[test]
#[should_panic(expected = "a law is broken: written to ConnId")]
fn a_machine_that_writes_after_its_close() {
    check(How::WritesAfterClose);
}

#[test]
#[should_panic(expected = "is closed twice")]
fn a_machine_that_closes_twice() {
    check(How::ClosesTwice);
}

#[test]
#[should_panic(expected = "a law is broken: a write names bytes of the buffer")]
fn a_machine_that_writes_bytes_that_are_not_there() {
    check(How::WritesWhatIsNotThere);
}

#[test]
#[should_panic(expected = "a law is broken: a datagram names bytes of the buffer")]
fn a_machine_that_sends_bytes_that_are_not_there() {
    check(How::SendsWhatIsNotThere);
}

#[test]
#[should_panic(expected = "a law is broken: unbounded outputs")]
fn a_machine_without_a_bound_on_its_outputs() {
    check(How::FloodsOutputs);
}

#[test]
#[should_panic(expected = "a law is broken: unbounded events")]
fn a_machine_without_a_bound_on_its_events() {
    check(How::FloodsEvents);
}

#[test]
#[should_panic(expected = "a law is broken: without a terminal event")]
fn a_machine_that_forgets_an_answer() {
    check(How::ForgetsAnAnswer);
}

#[test]
#[should_panic(expected = "a law is broken: nobody waits for a terminal event")]
fn a_machine_that_answers_twice() {
    check(How::AnswersTwice);
}

#[test]
#[should_panic(expected = "a law is broken: nobody waits for a terminal event")]
fn a_machine_that_answers_what_was_not_asked() {
    check(How::AnswersAnother);
}

#[test]
#[should_panic(expected = "a law is broken: nobody waits for a terminal event")]
fn a_machine_that_refuses_twice() {
    check(How::RefusesTwice);
}

#[test]
#[should_panic(expected = "the same seed gave two runs")]
fn a_machine_that_does_not_repeat_itself() {
    check(How::DependsOnMemory);
}

#[test]
#[should_panic(expected = "a law is broken: as it was made to")]
fn a_machine_that_panics() {
    check(How::Panics);
}

#[test]
#[should_panic(expected = "the scripts do not send what the machine takes")]
fn a_command_that_the_scripts_forget() {
    check(How::IsNotAsked);
}
