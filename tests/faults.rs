//! Faults of the controller, its disk, its hosts and its operator, injected into the program as it is
//! started. The numbers are those of the table in `docs/reliability.md`.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

#[path = "faults/controller.rs"]
mod controller;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/hosts.rs"]
mod hosts;
#[path = "faults/operator.rs"]
mod operator;
#[path = "faults/world.rs"]
mod world;
