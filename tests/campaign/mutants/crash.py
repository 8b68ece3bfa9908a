"""Faults around crashes: liveness, recovery, published events, repeated calls."""

from campaign.mutants.mutant import Mutant

CRASH = [
    # Who is alive
    Mutant(
        "take no lock",
        "engine/runs/flock.py",
        "fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        ["engine/runs/test_liveness.py::test_a_stopped_process_is_alive"],
    ),
    Mutant(
        "leave the lock to a forked child",
        "engine/runs/flock.py",
        "    for lock in _held:\n",
        "    for lock in ():\n",
        ["engine/runs/test_liveness.py::test_a_forked_child_does_not_keep_the_lock_of_its_parent"],
    ),
    Mutant(
        "call the living dead",
        "engine/runs/flock.py",
        "LOCK_SH | fcntl.LOCK_NB)\n        except OSError:\n            return True",
        "LOCK_SH | fcntl.LOCK_NB)\n        except OSError:\n            return False",
        ["engine/runs/test_liveness.py::test_two_runtimes_of_one_process_see_each_other"],
    ),
    Mutant(
        "call the dead alive whose file is left",
        "engine/runs/flock.py",
        "            os.close(descriptor)\n    return False",
        "            os.close(descriptor)\n    return True",
        ["engine/runs/test_liveness.py::test_a_killed_process_holds_nothing"],
    ),
    Mutant(
        "hold a lock on a file that was removed meanwhile",
        "engine/runs/flock.py",
        "if os.path.samestat(os.fstat(lock.descriptor), file.stat()):",
        "if True:",
        ["engine/runs/test_liveness.py::test_a_lock_is_held_on_the_file_that_has_the_name"],
    ),
    Mutant(
        "take no lock on Windows",
        "engine/runs/windows_lock.py",
        "        lock.acquire()\n",
        "        pass\n",
        ["engine/runs/test_liveness.py::test_a_stopped_process_is_alive"],
    ),
    Mutant(
        "call the living dead on Windows",
        "engine/runs/windows_lock.py",
        "            pause.wait(0.01)\n",
        "            return False\n",
        ["engine/runs/test_liveness.py::test_two_runtimes_of_one_process_see_each_other"],
    ),
    Mutant(
        "take who only looks for the owner",
        "engine/runs/windows_lock.py",
        "            pause.wait(0.01)\n",
        "            return True\n",
        ["engine/runs/test_liveness.py::test_who_looks_does_not_take_another_who_looks_for_the_owner"],
    ),
    Mutant(
        "call the dead alive whose file is left on Windows",
        "engine/runs/windows_lock.py",
        "        else:\n            return False",
        "        else:\n            return True",
        ["engine/runs/test_liveness.py::test_a_killed_process_holds_nothing"],
    ),
    Mutant(
        "make the file that is looked at",
        "engine/runs/windows_lock.py",
        "        file.stat()\n",
        "        pass\n",
        ["engine/runs/test_liveness.py::test_to_look_makes_no_file"],
    ),
    Mutant(
        "leave to the library whether a file is removed",
        "engine/runs/windows_lock.py",
        "                self._file.unlink()\n",
        "                pass\n",
        ["engine/runs/test_liveness.py::test_what_the_dead_have_left_is_removed_and_nothing_else"],
    ),
    Mutant(
        "sweep away a file that another process may inspect",
        "engine/runs/liveness.py",
        "unquote(file.name) not in keep and",
        "",
        ["engine/runs/test_liveness.py::test_what_the_dead_have_left_is_removed_and_nothing_else"],
    ),
    Mutant(
        "sweep away the files of the living",
        "engine/runs/liveness.py",
        "    LOCK_KIND.acquire(file, create=False).release()\n",
        "    file.unlink()\n",
        ["engine/runs/test_liveness.py::test_the_file_of_a_living_one_is_not_removed"],
    ),
    Mutant(
        "lock beside the link instead of the file",
        "engine/runs/liveness.py",
        "Path(os.path.realpath(path))",
        "Path(path)",
        ["engine/runs/test_liveness.py::test_the_lock_lies_beside_the_file_whatever_link_leads_to_it"],
    ),
    Mutant(
        "run on a file of two names",
        "engine/runs/liveness.py",
        ".st_nlink) > 1:",
        ".st_nlink) > 2:",
        ["engine/runs/test_liveness.py::test_a_file_with_a_second_hard_link_is_refused"],
    ),
    # A run whose process died is closed once
    Mutant(
        "recover what a living process executes",
        "engine/runs/recovery.py",
        "return executor is None or is_own or not self._liveness.is_alive(executor.id)",
        "return True",
        ["engine/runs/test_recovery.py::test_a_process_that_is_stopped_keeps_its_runs_until_force_takes_one"],
    ),
    Mutant(
        "recover the first orphan only",
        "engine/runs/recovery.py",
        "        for row in self._log.open_runs():\n            try:",
        "        for row in self._log.open_runs()[:1]:\n            try:",
        [
            "engine/runs/test_recovered_trees.py::test_who_waited_for_a_sub_agent_waits_for_it_again_when_both_go_on"
        ],
    ),
    Mutant(
        "recover again what was recovered",
        "engine/runs/recovery.py",
        'and row.status == "running" and (force or self.is_orphan(row)):',
        "and (force or self.is_orphan(row)):",
        ["engine/runs/test_recovery.py::test_to_recover_twice_is_to_recover_once"],
    ),
    Mutant(
        "recover a run without checking its head",
        "engine/runs/recovery.py",
        "Append.encoded([changeset], found.thread.version, condition)",
        'Append.of(changeset.changeset, "any", condition)',
        ["engine/control/test_meanwhile.py::test_the_evidence_of_an_orphan_includes_its_last_changeset"],
    ),
    Mutant(
        "end an orphan over what was wanted of it",
        "engine/runs/recovery.py",
        "                condition = Condition({identity.stream: mailbox.received})\n",
        "",
        ["engine/control/test_meanwhile.py::test_recovery_does_not_close_a_run_over_unread_commands"],
    ),
    Mutant(
        "resume an orphan with an unread cancel command",
        "engine/runs/recovery.py",
        ' or self._is_cancelled(row):\n            return "stop"',
        ':\n            return "stop"',
        ["engine/runs/test_orphans_go_on.py::test_a_run_whose_cancellation_nobody_has_seen_does_not_go_on"],
    ),
    Mutant(
        "stop an orphan that is executed on a remote server",
        "engine/runs/recovery.py",
        "        if found.is_adopted:\n",
        "        if False:\n",
        [
            "engine/runs/test_orphans_go_on.py::test_a_run_that_is_executed_elsewhere_is_adopted_and_never_stopped"
        ],
    ),
    Mutant(
        "give the beginning of a run as the last that is known of it",
        "engine/runs/orphans.py",
        "Orphan(executor=row.executor, version=last.version,",
        "Orphan(executor=row.executor, version=start.version,",
        ["engine/runs/test_recovery.py::test_the_end_of_a_recovered_run_has_the_evidence"],
    ),
    Mutant(
        "lose what an orphan has cost",
        "engine/control/crashed.py",
        "self._status = thread.runs[identity.run_id]",
        'self._status = RunStatus(status="running")',
        ["engine/runs/test_recovery.py::test_a_run_killed_in_a_tool_is_stopped_when_the_log_is_opened"],
    ),
    Mutant(
        "ask a person only where a call is unknown",
        "engine/control/crashed.py",
        "if not any(_is_question(call) for call in pending_calls(self._work.state)):",
        "if False:",
        ["engine/runs/test_orphans_go_on.py::test_every_orphan_asks_also_one_that_has_no_unknown_call"],
    ),
    Mutant(
        "leave the calls of an orphan open",
        "engine/control/closing.py",
        "    for call in open_calls(work.state):\n",
        "    for call in ():\n",
        ["engine/runs/test_recovery.py::test_a_run_killed_in_a_tool_is_stopped_when_the_log_is_opened"],
    ),
    # No tool is called twice that is not idempotent
    Mutant(
        "say of every lost call that it was not started",
        "reducers/open_calls.py",
        'fate="unknown" if call.call_id in unknown else "not_started",',
        'fate="not_started",',
        ["engine/runs/test_recovery.py::test_a_run_killed_in_a_tool_is_stopped_when_the_log_is_opened"],
    ),
    Mutant(
        "say of calls made one by one that all were started",
        "reducers/open_calls.py",
        "        begun = begun[:1]\n",
        "        pass\n",
        ["engine/runs/test_recovery.py::test_of_calls_made_one_by_one_only_the_first_open_one_was_started"],
    ),
    Mutant(
        "say of a call that a person has answered that it was started",
        "reducers/open_calls.py",
        "for call in begun if not _is_answered(call)}",
        "for call in begun}",
        ["reducers/test_open_calls.py::test_a_call_that_a_person_has_answered_was_not_started"],
    ),
    Mutant(
        "repeat a call that is not idempotent",
        "engine/control/crashed.py",
        'if lost.fate == "unknown" and call.name not in idempotent:',
        "if False:",
        [
            "engine/runs/test_orphans_go_on.py::test_an_unknown_call_of_an_idempotent_tool_is_made_again_with_its_key"
        ],
    ),
    Mutant(
        "give a call that is made again another key",
        "engine/loop/tool_round.py",
        'idempotency_key=f"{identity.run_id}:{request.step if request else None}:{call.id}"',
        'idempotency_key=f"{identity.run_id}:{identity.epoch}:{call.id}"',
        [
            "engine/runs/test_orphans_go_on.py::test_an_unknown_call_of_an_idempotent_tool_is_made_again_with_its_key"
        ],
    ),
    Mutant(
        "start a tool before the result of the one before it is durable",
        "engine/loop/tool_round.py",
        "        await self.work.wait_until_durable()\n        self.channel",
        "        self.channel",
        ["engine/commit/test_durable_first.py::test_no_tool_starts_before_the_previous_result_is_durable"],
    ),
    Mutant(
        "start a tool for a run that another process has taken",
        "engine/loop/tool_round.py",
        "self.channel.check_head(self.work.identity.thread_id, self.work.version)",
        "pass",
        [
            "engine/runs/test_recovery.py::test_a_process_that_wakes_does_nothing_more_for_a_run_that_was_taken"
        ],
    ),
    # Published events are durable
    Mutant(
        "tell a fact before it is durable",
        "engine/commit/publisher.py",
        "                    written = await item.result()\n",
        "                    written = Written(1, 1)\n",
        ["engine/commit/test_durable_first.py::test_no_durable_event_is_published_before_its_commit"],
    ),
    Mutant(
        "go on when a commit has failed",
        "engine/commit/publisher.py",
        "                    self.failure = err\n                    run.stop()\n",
        "                    self.failure = err\n",
        ["engine/commit/test_run_conflict.py::test_a_run_that_lost_its_thread_waits_for_no_behavior"],
    ),
    Mutant(
        "tell a listener the fact again that it has heard",
        "engine/events/broadcast.py",
        '            return known + 1, ""',
        '            return known, ""',
        ["engine/events/test_stream.py::test_every_subscriber_gets_each_durable_event_once_and_in_order"],
    ),
    Mutant(
        "leave the beginning of a run out for who comes later",
        "engine/events/streams.py",
        "Subscription(broadcast, after or broadcast.past.start, is_broken)",
        "Subscription(broadcast, after or Cursor.after(broadcast.past.start.position), is_broken)",
        ["engine/events/test_subscribe.py::test_a_returning_subscriber_continues_after_any_cursor"],
    ),
    Mutant(
        "write a changeset before the one that it follows is known to stand",
        "engine/commit/workspace.py",
        "self.version - len(before), condition, last)",
        "self.version - len(before), condition)",
        [
            "engine/commit/test_run_conflict.py::test_a_run_stops_when_another_writer_appends_during_a_model_call"
        ],
    ),
    # An execution on the record
    Mutant(
        "serve the answers of the world out of order",
        "engine/replay/recorded_effects.py",
        "effect = effects[number]",
        "effect = effects[-number - 1]",
        ["engine/replay/test_replay_run.py::test_two_effects_before_one_commit_are_served_in_order"],
    ),
    Mutant(
        "serve a call whatever was recorded next",
        "engine/replay/recorded_effects.py",
        "if ended == context.call_id:",
        "if ended:",
        ["engine/replay/test_replay_run.py::test_the_calls_of_a_round_end_in_the_logged_order"],
    ),
    # Elsewhere
    Mutant(
        "submit a task again that was submitted before the crash",
        "engine/remote/outbox.py",
        "self.doubtful |= {message.id for message in remote_task(self._work.state).outbox}",
        "pass",
        ["engine/remote/test_crash.py::test_a_killed_run_goes_on_with_its_task"],
    ),
    Mutant(
        "take a doubtful submission for one that was lost",
        "engine/remote/delivery.py",
        'return {"unknown": f"the server lists no tasks: {err}"}',
        "return None",
        ["engine/remote/test_failures.py::test_whether_a_message_arrived_is_asked_where_nobody_knows"],
    ),
    Mutant(
        "count a message as delivered although its task ended without it",
        "engine/remote/delivery.py",
        'return None if status(task) in TERMINAL else {"unconfirmed": task}',
        'return {"task": task}',
        ["engine/remote/test_failures.py::test_a_message_that_its_task_ends_without_begins_another_task"],
    ),
    Mutant(
        "leave the task of a cancelled run alone",
        "engine/remote/remote_loop.py",
        "if not (remote.task or is_doubtful) or (not is_doubtful and remote.status in TERMINAL):",
        "if True:",
        ["engine/remote/test_runs.py::test_a_cancelled_run_cancels_its_task"],
    ),
    Mutant(
        "mirror under an id of its own what was mirrored before",
        "engine/remote/mirror.py",
        'return mirror_id(run_id, task.get("id", ""), message.get("messageId") or _digest(message))',
        'return mirror_id(run_id, task.get("id", ""), str(len(task["history"])))',
        ["engine/remote/test_mirror.py::test_what_is_seen_again_is_not_mirrored_again"],
    ),
]
