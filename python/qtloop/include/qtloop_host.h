/*
 * A host for qtloop in C, or in any language that can lay out a struct of C functions.
 *
 * A host carries an asyncio loop inside a run loop of somebody else's. Fill in a `qtloop_host`,
 * put its address into a PyCapsule named QTLOOP_HOST_CAPSULE, and give that to
 * `qtloop.EventLoop(host=...)`:
 *
 *     static const qtloop_host host = { QTLOOP_HOST_VERSION, "mine", start, stop, run, quit, arm,
 *                                       set_deadline, watch };
 *     PyObject *capsule = PyCapsule_New((void *)&host, QTLOOP_HOST_CAPSULE, NULL);
 *
 * or, without Python's headers, from Python: `qtloop.hosts.capsule(address)`. The table and what
 * it points to stay for as long as the process.
 *
 * `qtloop.hosts.check(capsule)` puts a host to the test. The rules are these; docs/hosts.md has
 * them with reasons.
 *
 *   - Between `start` and `stop` all calls come from one thread. The host may be started again
 *     later, also on another thread, and there may be several sessions, of several loops.
 *   - All are called with the GIL held, but for `run`. `report` takes the GIL by itself, and may
 *     be called with it or without. No function may raise a C++ or Objective-C exception through
 *     its caller.
 *   - An event is reported from inside the run loop, never from inside a call of a function of
 *     the table. While one is handled any of the functions may be called, and `run` again, in
 *     which further events come.
 *   - After `stop` nothing is reported, and nothing is left behind in the run loop.
 *   - With nothing armed, no deadline and no fd ready the host sleeps.
 */
#ifndef QTLOOP_HOST_H
#define QTLOOP_HOST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this table. A later one has the same fields, and may have more at the end. */
#define QTLOOP_HOST_VERSION 1

/* The name of the capsule. */
#define QTLOOP_HOST_CAPSULE "qtloop.HostTable"

/* Events. */
enum {
    QTLOOP_READY = 0,    /* the host was armed and has come round to it */
    QTLOOP_DEADLINE = 1, /* the deadline has passed */
    /* the fd is ready for what `interest` says; an error or a hang-up counts as both */
    QTLOOP_FD = 2
};

/* Directions of an fd, to be combined. */
enum { QTLOOP_READ = 1, QTLOOP_WRITE = 2 };

/* Tells the loop of an event. `fd` and `interest` are 0 unless it is QTLOOP_FD. */
typedef void (*qtloop_report)(void *context, uint32_t event, int32_t fd, uint32_t interest);

typedef struct qtloop_host {
    /* QTLOOP_HOST_VERSION. qtloop refuses a version that it does not know. */
    uint32_t version;

    /* What the host is called, in UTF-8: `loop.host` says so. */
    const char *name;

    /* Begins a session in the run loop of the calling thread, whose events go to `report` with
       `context`. NULL if this thread has no run loop to offer; `*why` may then be set to a text
       in UTF-8 that stays. */
    void *(*start)(void *context, qtloop_report report, const char **why);

    /* Ends the session and removes everything that it has created. */
    void (*stop)(void *session);

    /* Runs the run loop, nested if it runs already, until `quit`; without the GIL. If the program
       ends it by other means (its window is closed, it terminates), that counts as the
       application's quit, and the result as its exit code. But with `drain` only `quit` must end
       it: finalizers run then. */
    int32_t (*run)(void *session, uint32_t drain);

    /* Ends the innermost `run` after the event under way; it may come before any event. With no
       `run` under way it ends the run loop of somebody else's that carries the session, as far as
       there is a way. */
    void (*quit)(void *session);

    /* Non-zero asks for one QTLOOP_READY, after the run loop has looked at its other sources,
       also in a nested run, and also while the one before is still being handled. 0 takes that
       back. */
    void (*arm)(void *session, uint32_t armed);

    /* Asks for one QTLOOP_DEADLINE in so many nanoseconds or later, never earlier; it replaces
       the one before. 0 comes at once. A negative number takes it back. */
    void (*set_deadline)(void *session, int64_t nanoseconds);

    /* Asks for QTLOOP_FD as long as the fd is ready (level-triggered) for these directions; it
       replaces those before, and 0 ends the watch. Returns 0, or the errno if the fd cannot be
       watched. */
    int32_t (*watch)(void *session, int32_t fd, uint32_t interest);
} qtloop_host;

#ifdef __cplusplus
}
#endif

#endif
