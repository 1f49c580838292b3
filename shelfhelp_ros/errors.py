"""The one exception that reaches a user: a sentence that says what is wrong and what to do."""


class ShelfHelpError(Exception):
    """A wrong input or a missing part, described in one line for the person at the terminal.

    The command line prints the message and exits with status 1; a ROS service answers with it. Nothing else of the
    failure is shown, so the message has to name the thing at fault and the way to mend it.
    """
