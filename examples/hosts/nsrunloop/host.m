/*
 * A host for Foundation's NSRunLoop: two NSTimers and a watch for each file descriptor.
 *
 * The file descriptors are watched by CFFileDescriptor on macOS, and on GNUstep by NSRunLoop's own watchers, which
 * only that has. All the rest is Foundation.
 */
#define _GNU_SOURCE /* pipe2 */
#import <Foundation/Foundation.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "qtloop_host.h"

/* The modes in which the loop goes on: those of menus and modal panels too. */
static NSArray *modes(void)
{
    static NSArray *all;
    if (all == nil)
#ifdef GNUSTEP
        all = [[NSArray alloc] initWithObjects:NSDefaultRunLoopMode, @"NSModalPanelRunLoopMode",
                                               @"NSEventTrackingRunLoopMode", nil];
#else
        all = [[NSArray alloc] initWithObjects:NSRunLoopCommonModes, nil];
#endif
    return all;
}

/* What keeps a run loop from returning at once for want of anything to wait for, in seconds. */
static const NSTimeInterval NEVER = 1e9;

/* One session. */
@interface QtloopSession : NSObject {
@public
    void *context;
    qtloop_report report;
    NSRunLoop *loop;
    NSTimer *ready, *deadline, *keeper;
    NSMutableDictionary *watches; /* by the number of the fd */
    int runs;                     /* that are under way */
    BOOL hasQuit;                 /* the innermost of them is to end */
#ifdef GNUSTEP
    int wake[2];                  /* a pipe that wakes the run loop */
#endif
}
- (NSTimer *)timerIn:(NSTimeInterval)seconds calling:(SEL)selector;
- (BOOL)isEnding;
@end

/* The watch of one fd. */
@interface QtloopWatch : NSObject
#ifdef GNUSTEP
                         <RunLoopEvents>
#endif
{
@public
    QtloopSession *session; /* which keeps this */
    int fd;
    uint32_t interest;
#ifndef GNUSTEP
    CFFileDescriptorRef descriptor;
    CFRunLoopSourceRef source;
#endif
}
- (void)begin;
- (void)end;
@end

@implementation QtloopSession

- (NSTimer *)timerIn:(NSTimeInterval)seconds calling:(SEL)selector
{
    NSDate *date = [NSDate dateWithTimeIntervalSinceNow:seconds];
    NSTimer *timer = [[NSTimer alloc] initWithFireDate:date
                                              interval:0
                                                target:self
                                              selector:selector
                                              userInfo:nil
                                               repeats:NO];
    for (NSString *mode in modes())
        [loop addTimer:timer forMode:mode];
    return timer; /* retained by us, too */
}

/* The innermost run has quit: whatever else the pass under way has found comes in the next run. */
- (BOOL)isEnding
{
    return runs > 0 && hasQuit;
}

- (void)onReady:(NSTimer *)timer
{
    /* While it is handled, the loop may ask for the next. */
    [ready release];
    ready = [self isEnding] ? [self timerIn:0 calling:@selector(onReady:)] : nil;
    if (ready)
        return;
    report(context, QTLOOP_READY, 0, 0);
}

- (void)onDeadline:(NSTimer *)timer
{
    [deadline release];
    deadline = [self isEnding] ? [self timerIn:0 calling:@selector(onDeadline:)] : nil;
    if (deadline)
        return;
    report(context, QTLOOP_DEADLINE, 0, 0);
}

- (void)onNever:(NSTimer *)timer
{
}

- (void)dealloc
{
    [watches release];
    [loop release];
    [super dealloc];
}

@end

#ifdef GNUSTEP

@implementation QtloopWatch

- (void)receivedEvent:(void *)data type:(RunLoopEventType)type extra:(void *)extra forMode:(NSString *)mode
{
    uint32_t direction = type == ET_RDESC ? QTLOOP_READ : QTLOOP_WRITE;
    char bytes[64];
    if (fd == session->wake[0]) {
        while (read(fd, bytes, sizeof bytes) > 0)
            ;
        return;
    }
    [self retain]; /* The watch may end meanwhile. */
    if ((interest & direction) && ![session isEnding])
        session->report(session->context, QTLOOP_FD, fd, direction);
    [self release];
}

- (void)begin
{
    for (NSString *mode in modes()) {
        if (interest & QTLOOP_READ)
            [session->loop addEvent:(void *)(intptr_t)fd type:ET_RDESC watcher:self forMode:mode];
        if (interest & QTLOOP_WRITE)
            [session->loop addEvent:(void *)(intptr_t)fd type:ET_WDESC watcher:self forMode:mode];
    }
}

- (void)end
{
    for (NSString *mode in modes()) {
        if (interest & QTLOOP_READ)
            [session->loop removeEvent:(void *)(intptr_t)fd type:ET_RDESC forMode:mode all:YES];
        if (interest & QTLOOP_WRITE)
            [session->loop removeEvent:(void *)(intptr_t)fd type:ET_WDESC forMode:mode all:YES];
    }
    interest = 0;
}

@end

#else

@implementation QtloopWatch

/* Asks for the next report: a descriptor reports once. */
- (void)enable
{
    CFOptionFlags wanted = 0;
    if (interest & QTLOOP_READ)
        wanted |= kCFFileDescriptorReadCallBack;
    if (interest & QTLOOP_WRITE)
        wanted |= kCFFileDescriptorWriteCallBack;
    if (wanted && descriptor)
        CFFileDescriptorEnableCallBacks(descriptor, wanted);
}

static void on_descriptor(CFFileDescriptorRef descriptor, CFOptionFlags happened, void *info)
{
    QtloopWatch *watch = info;
    [watch retain]; /* It may end meanwhile. */
    /* Before the report, so that a nested run hears of it too. */
    [watch enable];
    if ((happened & kCFFileDescriptorReadCallBack) && (watch->interest & QTLOOP_READ) && ![watch->session isEnding])
        watch->session->report(watch->session->context, QTLOOP_FD, watch->fd, QTLOOP_READ);
    if ((happened & kCFFileDescriptorWriteCallBack) && (watch->interest & QTLOOP_WRITE) && ![watch->session isEnding])
        watch->session->report(watch->session->context, QTLOOP_FD, watch->fd, QTLOOP_WRITE);
    [watch release];
}

- (void)begin
{
    CFFileDescriptorContext about = { 0, self, NULL, NULL, NULL };
    descriptor = CFFileDescriptorCreate(NULL, fd, false, on_descriptor, &about);
    source = CFFileDescriptorCreateRunLoopSource(NULL, descriptor, 0);
    CFRunLoopAddSource([session->loop getCFRunLoop], source, kCFRunLoopCommonModes);
    [self enable];
}

- (void)end
{
    interest = 0;
    if (descriptor) {
        CFFileDescriptorInvalidate(descriptor);
        CFRelease(source);
        CFRelease(descriptor);
        descriptor = NULL;
    }
}

@end

#endif

/* The table. Each call is from the thread of the session, and has a pool for what it leaves. */

static void stop(void *of);
static int32_t watch(void *of, int32_t fd, uint32_t interest);

static void *start(void *context, qtloop_report report, const char **why)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    QtloopSession *session = [QtloopSession new];
    session->context = context;
    session->report = report;
    session->loop = [[NSRunLoop currentRunLoop] retain];
    session->watches = [NSMutableDictionary new];
    session->keeper = [session timerIn:NEVER calling:@selector(onNever:)];
#ifdef GNUSTEP
    if (pipe2(session->wake, O_CLOEXEC | O_NONBLOCK) != 0) {
        *why = "no file descriptor is left to wake the run loop by";
        session->wake[0] = session->wake[1] = -1;
        stop(session);
        session = nil;
    } else {
        watch(session, session->wake[0], QTLOOP_READ);
    }
#endif
    [pool release];
    return session;
}

static void clear(NSTimer **timer)
{
    [*timer invalidate];
    [*timer release];
    *timer = nil;
}

static void stop(void *of)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    QtloopSession *session = of;
    clear(&session->ready);
    clear(&session->deadline);
    clear(&session->keeper);
    for (QtloopWatch *watch in [session->watches allValues])
        [watch end];
#ifdef GNUSTEP
    close(session->wake[0]);
    close(session->wake[1]);
#endif
    [session release];
    [pool release];
}

static int32_t run(void *of, uint32_t drain)
{
    QtloopSession *session = of;
    /* Only the innermost run is told to quit; one around it may have been told before. */
    BOOL around = session->hasQuit;
    (void)drain; /* A run loop by itself has no end but ours; `-[NSApplication run]` has, see docs/hosts.md. */
    session->hasQuit = NO;
    session->runs++;
    while (!session->hasQuit) {
        NSAutoreleasePool *pool = [NSAutoreleasePool new];
        [session->loop runMode:NSDefaultRunLoopMode beforeDate:[NSDate distantFuture]];
        [pool release];
    }
    session->runs--;
    session->hasQuit = around;
    return 0;
}

static void quit(void *of)
{
    QtloopSession *session = of;
    session->hasQuit = session->runs > 0;
    /* `runMode:beforeDate:` does not return after a timer. */
#ifdef GNUSTEP
    if (session->hasQuit && write(session->wake[1], "", 1) < 0)
        NSLog(@"qtloop: cannot wake the run loop: %s", strerror(errno));
#else
    CFRunLoopStop([session->loop getCFRunLoop]);
#endif
}

static void arm(void *of, uint32_t armed)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    QtloopSession *session = of;
    /* A new timer each time: one that is being handled does not fire again. */
    clear(&session->ready);
    if (armed)
        session->ready = [session timerIn:0 calling:@selector(onReady:)];
    [pool release];
}

static void set_deadline(void *of, int64_t nanoseconds)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    QtloopSession *session = of;
    clear(&session->deadline);
    /* A date is a double of seconds since 2001, whose last digit is a tenth of a microsecond: so up. */
    if (nanoseconds >= 0)
        session->deadline = [session timerIn:nanoseconds / 1e9 + 1e-6 calling:@selector(onDeadline:)];
    [pool release];
}

static int32_t watch(void *of, int32_t fd, uint32_t interest)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    QtloopSession *session = of;
    NSNumber *number = [NSNumber numberWithInt:fd];
    [[session->watches objectForKey:number] end];
    [session->watches removeObjectForKey:number];
    if (interest) {
        QtloopWatch *watch = [[QtloopWatch new] autorelease];
        watch->session = session;
        watch->fd = fd;
        watch->interest = interest;
        [session->watches setObject:watch forKey:number];
        [watch begin];
    }
    [pool release];
    return 0;
}

const qtloop_host nsrunloop_host = {
    QTLOOP_HOST_VERSION, "nsrunloop", start, stop, run, quit, arm, set_deadline, watch,
};
