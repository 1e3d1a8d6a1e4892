"""`lockbot daemon`: runs by schedule, each a process of its own.

    plan        configuration files → tasks and their timetables
    memory      what outlives the daemon: when each task was done last; the pause; what is told to `status`
    children    one run as a child process, and what it is doing
    heartbeat   a dead man's switch is told that all is well
    events      what comes in at the loop's queue
    telling     what it does, in words
    service     the loop: events in, children and systemd's messages out

It must import neither Nix nor git nor the update: those are the children's, and so its memory stays small.
"""
