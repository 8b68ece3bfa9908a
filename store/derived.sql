-- Everything here is derived from the log and can be rebuilt byte for byte (`threadlog rebuild`). It is
-- written in the transaction of its append, so a reader never finds it outdated.
--
-- run           the status of each run: its last status, for each thread that has any
-- queued        each queued run; it still waits if neither `run` nor `cancelled` has it
-- cancelled     where in its control stream a run was last cancelled: unread while beyond the run's `control`
-- message       at which version a message id entered its thread; later ones with that id are skipped
-- thread_metadata  parent, owner and labels of each thread that has any
-- snapshot      the state document at every 100th version of a thread: a cache, never the truth

create table run (
  id            text not null,
  thread        integer not null,
  parent        text,
  agent         text,
  epoch         integer not null,
  status        text not null,
  termination   text,
  input_tokens  integer not null,
  output_tokens integer not null,
  started_at    integer not null,
  updated_at    integer not null,
  first_version integer not null,
  last_version  integer not null,
  executor      text,
  control       integer not null,
  primary key (id, thread)
) strict, without rowid;

create index run_by_thread on run (thread, first_version);
create index run_by_parent on run (parent) where parent is not null;
create index run_open on run (id) where status <> 'done';

create table queued (
  run          text not null primary key,
  stream       integer not null,
  thread       text not null,
  agent        text not null,
  parent       text
) strict, without rowid;

create table cancelled (
  run     text not null primary key,
  version integer not null
) strict, without rowid;

create table message (
  thread  integer not null,
  id      text not null,
  version integer not null,
  primary key (thread, id)
) strict, without rowid;

create table thread_metadata (
  thread integer primary key,
  parent text,
  owner  text,
  labels text not null
) strict;

create table snapshot (
  thread  integer not null,
  version integer not null,
  content blob not null,
  primary key (thread, version)
) strict, without rowid;
