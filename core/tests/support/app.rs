//! The application behind the target: commands that move as many bytes as their CDB says.

use bytes::Bytes;
use iscsicore::link::TaskId;
use iscsicore::scsi::Response;
use iscsicore::target::{Command, Event};
use iscsicore::{DataList, Misuse};

use super::Session;

/// Moves nothing.
pub const NONE: u8 = 0x00;
/// Sends as many bytes as bytes 2 to 5 of the CDB say, of [`pattern`].
pub const READ: u8 = 0x28;
/// Takes as many.
pub const WRITE: u8 = 0x2a;

pub fn cdb(code: u8, len: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = code;
    cdb[2..6].copy_from_slice(&len.to_be_bytes());
    cdb
}

/// Bytes that differ from place to place.
pub fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect::<Vec<u8>>().into()
}

/// What the application was given.
#[derive(Default, Debug)]
pub struct App {
    pub commands: Vec<Command>,
    /// The payload of writes, in the order in which it became whole.
    pub written: Vec<(TaskId, DataList)>,
    pub aborted: Vec<TaskId>,
    /// What the application does not deal with.
    pub other: Vec<Event>,
}

impl App {
    /// Acts on all events, and on what follows from them.
    pub fn serve(&mut self, session: &mut Session) {
        while let Some(event) = session.target.poll_event() {
            match event {
                Event::Command(command) => self.start(session, command),
                Event::Data { task, data } => {
                    let len = data.len() as u32;
                    self.written.push((task, data));
                    let wanted = self.wanted(task).max(len);
                    session.target.complete(task, Response::good(), wanted).expect("a task to complete");
                }
                Event::Abort { task } => self.aborted.push(task),
                other => self.other.push(other),
            }
        }
    }

    fn wanted(&self, task: TaskId) -> u32 {
        self.commands.iter().rfind(|c| c.task == task).map_or(0, |c| c.cdb.u32_at(2))
    }

    fn start(&mut self, session: &mut Session, command: Command) {
        let (task, len) = (command.task, command.cdb.u32_at(2));
        let target = &mut session.target;
        let done: Result<(), Misuse> = match command.cdb.opcode() {
            READ => target
                .send_data(task, DataList::from(pattern(len as usize)))
                .and_then(|()| target.complete(task, Response::good(), len)),
            WRITE => target.accept(task, len),
            _ => target.complete(task, Response::good(), 0),
        };
        done.expect("a task that is the application's");
        self.commands.push(command);
    }
}
