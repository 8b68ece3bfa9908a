"""The faults of the reducers: how actions become state, and how a history is folded."""

from campaign.mutants.mutant import Mutant

REDUCERS = [
    Mutant(
        "let a finished run change its status",
        "reducers/run.py",
        '"done": frozenset({"done"})',
        '"done": frozenset({"done", "running"})',
        ["reducers/test_run_record.py::test_a_run_moves_as_its_table_says_and_in_no_other_way"],
    ),
    Mutant(
        "let a run take in an entry twice",
        "reducers/run.py",
        "if action.through <= slice.control:",
        "if False:",
        ["reducers/test_run_record.py::test_an_entry_is_taken_in_once"],
    ),
    Mutant(
        "reduce every action of a batch on the state before it",
        "reducers/reduce.py",
        "operations = self.operations(draft.document, record)",
        "operations = self.operations(state, record)",
        ["reducers/test_reducers.py::test_each_action_of_a_batch_sees_what_the_one_before_it_did"],
    ),
    Mutant(
        "let conflicting writes of one round both stand",
        "reducers/conflict.py",
        "if (write.raw or earlier.raw) and",
        "if False and",
        [
            "reducers/test_conflicts.py::test_a_conflicting_write_fails_the_later_call_and_applies_nothing_of_it"
        ],
    ),
    Mutant(
        "fold a history with a hole in it",
        "reducers/replay.py",
        "if changeset.version != version + 1:",
        "if changeset.version <= version:",
        ["reducers/test_replay.py::test_a_version_that_is_missing_or_repeated_is_found"],
    ),
    Mutant(
        "put a repeated message in the place of the first",
        "reducers/replay.py",
        "messages.setdefault(message.id, message)",
        "messages[message.id] = message",
        ["reducers/test_replay.py::test_a_message_whose_id_came_before_is_skipped"],
    ),
    Mutant(
        "forget what a run has cost since it last said so",
        "reducers/replay.py",
        "add_usage(known.usage, changeset_usage(changeset))",
        "known.usage",
        ["laws/test_recovery_law.py::test_a_run_cut_off_anywhere_is_stopped_once_with_what_it_has_cost"],
    ),
    Mutant(
        "keep a decision for the next call though it was taken",
        "reducers/decision.py",
        " if target != action.target}",
        "}",
        ["engine/control/test_early_decisions.py::test_an_early_decision_is_kept_until_its_call_asks"],
    ),
]
