-- The log. One row for each changeset. Rows are never changed, deleted or inserted
-- in between: the triggers refuse it, `insert or replace` included.
--
-- thread.key        1, 2, 3, … in the order in which threads first appear: short, so the key below is too
-- position          1, 2, 3, … in the order of appending, over all threads; one commit's rows share pages
-- version           1, 2, 3, … within the thread; the unique key is the optimistic check
-- id                the changeset's own, unique in the log
-- format            which codec wrote the content (store/codec.py)
-- content           the canonical bytes of the changeset
-- digest            sha256(the thread's digest before, header, content)
-- file_digest       sha256(the log's digest before, position, digest)

create table thread (
  key  integer primary key,
  name text not null unique
) strict;

create table changeset (
  position    integer primary key,
  thread      integer not null references thread,
  version     integer not null,
  id          text    not null unique,
  format      integer not null,
  content     blob    not null,
  digest      blob    not null,
  file_digest blob    not null,
  unique (thread, version)
) strict;

create trigger changeset_is_appended before insert on changeset
when new.position is not (select coalesce(max(position), 0) + 1 from changeset)
  or new.version is not (select coalesce(max(version), 0) + 1 from changeset where thread = new.thread)
  or exists (select 1 from changeset where id = new.id)
begin select raise(abort, 'the log is append-only: a changeset follows the last one'); end;

create trigger changeset_is_never_changed before update on changeset
begin select raise(abort, 'the log is append-only: a changeset is never changed'); end;

create trigger changeset_is_never_deleted before delete on changeset
begin select raise(abort, 'the log is append-only: a changeset is never deleted'); end;

create trigger thread_is_appended before insert on thread
when new.key is not (select coalesce(max(key), 0) + 1 from thread)
  or exists (select 1 from thread where name = new.name)
begin select raise(abort, 'the log is append-only: a thread follows the last one'); end;

create trigger thread_is_never_changed before update on thread
begin select raise(abort, 'the log is append-only: a thread is never changed'); end;

create trigger thread_is_never_deleted before delete on thread
begin select raise(abort, 'the log is append-only: a thread is never deleted'); end;
