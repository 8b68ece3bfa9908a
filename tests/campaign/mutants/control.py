"""Faults in run control: commands applied once, by the right process, and by all descendants."""

from campaign.mutants.mutant import Mutant

CONTROL = [
    # Commands are applied once
    Mutant(
        "forget the control cursor",
        "engine/commit/workspace.py",
        "control=None if control == self._committed_control else control,",
        "control=None,",
        ["engine/control/test_steering.py::test_a_message_to_an_active_run_is_seen_once_at_its_next_step"],
    ),
    Mutant(
        "take in what was taken in before",
        "engine/control/inbox.py",
        "        entries = self._mailbox.commands(self._work.control_version(), point)\n",
        "        entries = self._mailbox.commands(0, point)\n",
        ["engine/control/test_steering.py::test_a_message_to_an_active_run_is_seen_once_at_its_next_step"],
    ),
    Mutant(
        "let a run end over an entry that it has not seen",
        "engine/commit/workspace.py",
        "self._prelude.condition.and_head(self.identity.stream, self.control_version())",
        "self._prelude.condition",
        ["engine/control/test_steering.py::test_no_run_finishes_over_an_unread_message"],
    ),
    Mutant(
        "apply a decision that was given before",
        "engine/control/decision.py",
        "if key not in self._decisions:",
        "if True:",
        ["engine/control/test_decision.py::test_repeating_a_decision_is_a_no_op"],
    ),
    Mutant(
        "take another answer to what was answered",
        "engine/control/decision.py",
        "elif not _is_same(self._decisions[key], decision):",
        "elif False:",
        ["engine/control/test_decision.py::test_a_contradicting_decision_is_refused"],
    ),
    Mutant(
        "decide for a foreign ticket",
        "engine/control/decision.py",
        "if decision.target not in pending:",
        "if False:",
        ["engine/control/test_decision.py::test_a_batch_with_an_unknown_target_is_refused_whole"],
    ),
    Mutant(
        "keep a late decision for the next call of the same id",
        "engine/control/inbox.py",
        "elif not self._is_answered(record.target):",
        "else:",
        ["engine/control/test_decide_anywhere.py::test_a_superfluous_decision_is_not_kept_for_a_later_call"],
    ),
    Mutant(
        "drop a decision that comes before its question",
        "engine/control/inbox.py",
        "elif not self._is_answered(record.target):",
        "elif False:",
        ["engine/control/test_early_decisions.py::test_an_early_decision_is_kept_until_its_call_asks"],
    ),
    Mutant(
        "add a command after a conflict without choosing again",
        "engine/control/control_stream.py",
        "map(self._changeset, new), len(known),",
        'map(self._changeset, new), "any",',
        ["engine/control/test_meanwhile.py::test_the_second_of_two_contradicting_answers_is_refused"],
    ),
    Mutant(
        "say something to a run that is over",
        "engine/control/control_stream.py",
        "else Condition(open_run=self._run_id)",
        "else Condition()",
        ["engine/control/test_steering.py::test_a_finished_or_unknown_run_accepts_no_message"],
    ),
    Mutant(
        "overlook a decision made while no process was open",
        "engine/runs/dispatcher.py",
        'if row.status == "waiting":',
        "if False:",
        [
            "engine/control/test_decide_anywhere.py::test_a_decision_made_while_no_process_runs_is_applied_later"
        ],
    ),
    # To stop a run stops all that it has started
    Mutant(
        "cancel no run that a run has started",
        "engine/runs/cancelling.py",
        "for child in self._env.log.child_ids(each):",
        "for child in ():",
        ["engine/runs/test_cancel_tree.py::test_to_cancel_a_run_cancels_all_that_it_has_started"],
    ),
    Mutant(
        "cancel the children of a run and not theirs",
        "engine/runs/cancelling.py",
        "                    found.append(child)\n",
        "",
        ["engine/runs/test_cancel_tree.py::test_to_cancel_a_run_cancels_all_that_it_has_started"],
    ),
    Mutant(
        "forget the children that are queued",
        "store/listing.py",
        "select run from queued where parent = ?1 union ",
        "",
        ["engine/runs/test_cancel_tree.py::test_to_cancel_a_run_cancels_all_that_it_has_started"],
    ),
    Mutant(
        "begin a run below one that was cancelled meanwhile",
        "engine/runs/environment.py",
        "return Condition({self.stream(parent).name: found.commands}, parent)",
        "return Condition()",
        [
            "engine/runs/test_cancel_tree.py::test_a_run_begun_while_its_parent_is_cancelled_is_cancelled_or_never_begins"
        ],
    ),
    Mutant(
        "begin a run below one that is cancelled",
        "engine/runs/environment.py",
        "if found.is_cancelled:",
        "if False:",
        ["engine/runs/test_cancel_tree.py::test_nothing_begins_under_a_run_that_is_over_or_cancelled"],
    ),
    Mutant(
        "let an end win over a cancellation that came before it",
        "engine/loop/epoch.py",
        "if self._context.mailbox.should_stop() and not is_final else end",
        "if False else end",
        ["engine/runs/test_cancel_tree.py::test_a_cancellation_wins_over_an_end_that_comes_later"],
    ),
    # One active run on a thread
    Mutant(
        "begin a second run on a thread",
        "engine/runs/starting.py",
        "busy = thread.open_run()",
        "busy = None",
        ["engine/runs/test_supersede.py::test_a_run_takes_the_place_of_one_that_waits"],
    ),
    Mutant(
        "start the runs of a queue in another order",
        "engine/runs/queued_runs.py",
        "            busy.add(row.thread_id)\n",
        "",
        ["engine/runs/test_queue.py::test_no_queued_run_is_overtaken_though_its_agent_is_not_here"],
    ),
    Mutant(
        "leave the run open whose place is taken",
        "engine/runs/starting.py",
        "self._resumer.supersede(launch, old) if old else launch)",
        "launch)",
        ["engine/runs/test_supersede.py::test_a_run_takes_the_place_of_one_that_waits"],
    ),
    Mutant(
        "leave what a run has started that another one has taken the place of",
        "engine/runs/starting.py",
        'await self._cancelling.cancel_tree(old.run_id, None, f"superseded by run {by}")',
        "pass",
        [
            "engine/runs/test_cancel_tree.py::test_a_run_whose_place_is_taken_takes_what_it_has_started_with_it"
        ],
    ),
    Mutant(
        "take the place of a run over what was wanted of it meanwhile",
        "engine/runs/resuming.py",
        "condition = launch.prelude.condition.and_head(identity.stream, mailbox.received)",
        "condition = launch.prelude.condition",
        ["engine/control/test_meanwhile.py::test_superseding_does_not_close_a_run_over_unread_commands"],
    ),
    Mutant(
        "start a run of a known id once more",
        "engine/runs/starting.py",
        "if new.has_chosen_id and (known := await self._find(new)):",
        "if False:",
        ["engine/runs/test_resume_stopped.py::test_a_run_of_an_id_is_started_once_whoever_starts_it"],
    ),
    Mutant(
        "execute a run that another process has ended",
        "engine/runs/dispatcher.py",
        "if execution.opening.is_durable and execution.run_id not in running:",
        "if False:",
        ["engine/runs/test_supersede.py::test_a_run_that_goes_on_elsewhere_stops_within_a_tenth_of_a_second"],
    ),
    # Epochs
    Mutant(
        "resume a run that has finished",
        "engine/runs/commands.py",
        'or row.status == "running" or not was_stopped):',
        'or row.status == "running"):',
        ["engine/runs/test_resume_stopped.py::test_what_does_not_wait_and_was_not_stopped_does_not_go_on"],
    ),
    Mutant(
        "resume a run behind which another one came",
        "engine/runs/resuming.py",
        "if row.run_id != list(thread.runs)[-1]:",
        "if False:",
        ["engine/runs/test_resume_stopped.py::test_a_stopped_run_behind_which_another_came_does_not_go_on"],
    ),
    Mutant(
        "count two epochs as one",
        "engine/runs/resuming.py",
        "row.thread_id, row.epoch + 1, parent or",
        "row.thread_id, row.epoch, parent or",
        ["engine/loop/test_suspension.py::test_a_run_that_goes_on_is_in_its_next_epoch_under_its_own_id"],
    ),
    Mutant(
        "resume a run at its first step",
        "engine/loop/step.py",
        'self.number = sum(m.role == "assistant" and m.run_id == run_id for m in self.work.messages)',
        "self.number = 0",
        ["engine/loop/test_tool_gate.py::test_a_call_of_the_same_id_has_another_key_when_its_run_has_waited"],
    ),
    Mutant(
        "forget in the next epoch what the run has cost",
        "engine/loop/step.py",
        "        self.work.count_usage(status.usage)\n",
        "",
        ["engine/agents/test_stop_policy.py::test_a_run_that_a_person_lets_go_on_has_spent_what_it_spent"],
    ),
    # Sub-agents
    Mutant(
        "begin a sub-agent before it is in the log",
        "engine/loop/tool_round.py",
        '        if announced:\n            self.work.commit("tools_started")\n',
        "",
        ["engine/delegation/test_sub_agents.py::test_a_sub_agent_is_in_the_state_before_its_run_begins"],
    ),
    Mutant(
        "announce no sub-agent",
        "engine/delegation/agent_run.py",
        "if parsed.run_id or delegation.refusal(parsed):",
        "if True:",
        ["engine/delegation/test_sub_agents.py::test_a_sub_agent_is_in_the_state_before_its_run_begins"],
    ),
    Mutant(
        "give a sub-agent an id that is not made from its call",
        "engine/delegation/delegation.py",
        'named_id("sub-agent", context.idempotency_key)',
        'named_id("sub-agent", context.idempotency_key, str(id(context)))',
        [
            "engine/runs/test_recovered_trees.py::test_who_waited_for_a_sub_agent_waits_for_it_again_when_both_go_on"
        ],
    ),
    Mutant(
        "let an agent reach the sub-agents of others",
        "engine/delegation/delegation.py",
        "if run_id not in known:",
        "if run_id not in known and not self.runs.log.run(run_id):",
        ["engine/delegation/test_sub_agents.py::test_a_run_of_another_thread_is_unknown"],
    ),
]
