//! Watchbell: the bridge between monitoring and incident management. This text is the map.
//!
//! # The life of one alert
//!
//! 1. [`runtime::listen`] accepts the connection, [`ingest::http`] reads the body with a cap.
//! 2. [`sources`] decodes it: bytes in, observations out, or a reason why not.
//! 3. [`store::writer`] commits the raw message as one row of the input log, together with everything else that waits;
//!    only then the sender gets its 202.
//! 4. [`engine`] takes inputs in their order and asks [`core::decide`]: state, rules, input and time in, one
//!    [`core::decision::Decision`] out. It is applied to memory and handed to the writer, which commits cursor, changes
//!    and timeline in one transaction. Then the caller of a command is answered.
//! 5. [`api`] and the commands of [`cli`] show committed rows, each change with its [`core::reason`].
//!
//! A click, an API command, a reached deadline and the answer of a polled source are inputs like a message: one door, one
//! order, one record of why.
//!
//! # Layers
//!
//! A layer imports only what stands in its row; `tests/it/architecture.rs` checks it.
//!
//! | layer | does | may import |
//! |---|---|---|
//! | [`core`](mod@core) | what shall happen: values in, one decision out | nothing of ours |
//! | [`telemetry`] | logs and metrics | nothing of ours |
//! | [`api_token`], [`token_key`] | token texts, and the key of their hashes | nothing of ours |
//! | [`answer_link`] | links by which people answer a message | core |
//! | [`replies`] | answers by broker and mail: read, and checked who may | core, [`answer_link`], runtime, wire |
//! | [`bench`](mod@bench) | the load generator, which stands on the other side of the wire | nothing of ours |
//! | [`runtime`] | clock, entropy, tasks, signals, sockets, TLS | telemetry, `core::time` |
//! | [`config`] | files in, checked settings out | core, connectors |
//! | [`connectors`] | what to say to a ticket platform and what its answer means | core |
//! | [`sources`] | bytes of a sender in, observations out | core |
//! | [`importers`] | bytes of a CMDB export in, one neutral picture out | core |
//! | [`store`] | durable state: one SQL text for SQLite and PostgreSQL | core, telemetry |
//! | [`engine`] | the only one who decides; recovery is start-up | core, store, runtime, telemetry |
//! | [`ingest`] | who may send, how much, and the answer after commit | core, sources, store (inbox), engine handle, runtime, telemetry |
//! | [`wire`] | the way out to other systems: secrets in, sizes, times and addresses bounded | core, connectors, importers, runtime (pin) |
//! | [`tickets`] | keeps tickets in step: what waits is done, what came of it is reported | core, connectors, engine handle, wire, store (tickets), runtime, telemetry |
//! | [`deliver`] | works the outbox off: looks again, sends, writes what became of it | core, store, wire, runtime, telemetry |
//! | [`lab`] | worlds by seed, virtual time, how good correlation is | core |
//! | [`simulate`] | histories from files through the core on virtual time | core, lab, sources (words) |
//! | [`web`] | the pages for people on call, which use the API | nothing of ours |
//! | [`api`] | JSON over HTTP, health, metrics | core, store (queries), engine handle, replies, runtime, telemetry, web |
//! | [`app`] | who knows whom; start and stop | all |
//! | [`cli`] | every command of the program | all |
//!
//! # Invariants
//!
//! - The core and the sources are pure: no I/O, clock, randomness, log, or hash order. The same input log gives the same
//!   decisions.
//! - A 2xx needs a receipt of a commit; the type [`ingest::Accepted`] cannot be made without one.
//! - One task writes to the store, and nobody cancels it. Readers see committed rows only.
//! - Memory runs ahead of the store by one batch at most; when a commit fails it is thrown away and loaded again by the
//!   code that also starts the daemon.
//! - Time enters in [`runtime::clock`], randomness in [`runtime::entropy`], the environment in [`config`]; nowhere else.
//! - Every queue, body, label set and history has a bound with a reason: [`core::limits`], `config/watchbell.toml`.
//! - A task that ends unasked ends the process, with its name in the log; the service manager starts it again.
//! - Each list (sources, reasons, routes, metrics, configuration keys) exists once and is tested to be complete.
//!
//! # Reading order
//!
//! [`core::input`] (what can happen), [`core::decide`] (what follows), [`core::decision`] (how it is said),
//! [`core::reason`] (why); then [`engine`], [`store::writer`], [`ingest`], and [`app`] for how it hangs together. How to
//! add something is in `docs/development.md`.
//!
//! Must not hold code: this file is the list of layers.

pub mod answer_link;
pub mod api;
pub mod api_token;
pub mod app;
pub mod bench;
pub mod cli;
pub mod config;
pub mod connectors;
pub mod core;
pub mod deliver;
pub mod engine;
pub mod importers;
pub mod ingest;
pub mod lab;
pub mod replies;
pub mod runtime;
pub mod simulate;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod tickets;
pub mod token_key;
pub mod web;
pub mod wire;
