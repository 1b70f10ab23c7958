/*
 * A host for Foundation's NSRunLoop: NSTimers for the two other events, and a watch for each file
 * descriptor.
 *
 * The file descriptors are watched by CFFileDescriptor on macOS, and on GNUstep by NSRunLoop's own
 * watchers, which only GNUstep has. All the rest is Foundation.
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

/* The seconds until a timer that is not set. */
static const NSTimeInterval NEVER = 1e9;

/* One session. */
@interface QtloopSession : NSObject {
@public
    void *context;
    qtloop_report report;
    NSRunLoop *loop;
    NSMutableArray *ready, *deadline; /* the timers of the two events */
    NSMutableDictionary *watches;     /* by the number of the fd */
    int runs;                         /* that are under way */
    BOOL hasQuit;                     /* the innermost of them is to end */
#ifdef GNUSTEP
    int wake[2]; /* a pipe that wakes the run loop */
#endif
}
- (BOOL)isEnding;
@end

/*
 * A timer that is set again and again. While it is being handled, a run loop inside does not call
 * it again, so there is another timer for that. New timers each time would be many: GNUstep keeps a
 * timer that is no longer valid in each mode until the loop runs in that mode.
 */
@interface QtloopTimer : NSObject {
@public
    QtloopSession *session; /* which keeps this */
    uint32_t event;
    NSTimer *timer;
    BOOL isHandled;
}
- (void)fire:(NSTimer *)timer;
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
/* Whether it could. */
- (BOOL)begin;
- (void)end;
@end

@implementation QtloopSession

/* The innermost run has quit: whatever else the pass under way has found comes in the next run. */
- (BOOL)isEnding
{
    return runs > 0 && hasQuit;
}

- (void)dealloc
{
    [ready release];
    [deadline release];
    [watches release];
    [loop release];
    [super dealloc];
}

@end

@implementation QtloopTimer

- (void)fire:(NSTimer *)fired
{
    if ([session isEnding]) {
        [timer setFireDate:[NSDate date]];
        return;
    }
    /* In another mode it is still due. */
    [timer setFireDate:[NSDate distantFuture]];
    [self retain];
    isHandled = YES;
    session->report(session->context, event, 0, 0);
    isHandled = NO;
    [self release];
}

- (void)dealloc
{
    [timer release];
    [super dealloc];
}

@end

/* Takes back what the timers of an event were set to. Sets one of them unless the time is
 * negative. */
static void set_timer(QtloopSession *session, NSMutableArray *timers, uint32_t event,
                      NSTimeInterval seconds)
{
    QtloopTimer *found = nil;
    for (QtloopTimer *each in timers) {
        if (!each->isHandled) {
            [each->timer setFireDate:[NSDate distantFuture]];
            found = each;
        }
    }
    if (seconds < 0)
        return;
    if (found == nil) {
        found = [[QtloopTimer new] autorelease];
        found->session = session;
        found->event = event;
        found->timer = [[NSTimer alloc] initWithFireDate:[NSDate distantFuture]
                                                interval:NEVER
                                                  target:found
                                                selector:@selector(fire:)
                                                userInfo:nil
                                                 repeats:YES];
        [timers addObject:found];
        for (NSString *mode in modes())
            [session->loop addTimer:found->timer forMode:mode];
    }
    [found->timer setFireDate:[NSDate dateWithTimeIntervalSinceNow:seconds]];
}

#ifdef GNUSTEP

@implementation QtloopWatch

- (void)receivedEvent:(void *)data
                 type:(RunLoopEventType)type
                extra:(void *)extra
              forMode:(NSString *)mode
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

- (BOOL)begin
{
    for (NSString *mode in modes()) {
        if (interest & QTLOOP_READ)
            [session->loop addEvent:(void *)(intptr_t)fd type:ET_RDESC watcher:self forMode:mode];
        if (interest & QTLOOP_WRITE)
            [session->loop addEvent:(void *)(intptr_t)fd type:ET_WDESC watcher:self forMode:mode];
    }
    return YES;
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
    if ((happened & kCFFileDescriptorReadCallBack) && (watch->interest & QTLOOP_READ)
        && ![watch->session isEnding])
        watch->session->report(watch->session->context, QTLOOP_FD, watch->fd, QTLOOP_READ);
    if ((happened & kCFFileDescriptorWriteCallBack) && (watch->interest & QTLOOP_WRITE)
        && ![watch->session isEnding])
        watch->session->report(watch->session->context, QTLOOP_FD, watch->fd, QTLOOP_WRITE);
    [watch release];
}

- (BOOL)begin
{
    CFFileDescriptorContext about = { 0, self, NULL, NULL, NULL };
    descriptor = CFFileDescriptorCreate(NULL, fd, false, on_descriptor, &about);
    if (descriptor == NULL)
        return NO;
    source = CFFileDescriptorCreateRunLoopSource(NULL, descriptor, 0);
    CFRunLoopAddSource([session->loop getCFRunLoop], source, kCFRunLoopCommonModes);
    [self enable];
    return YES;
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
    session->ready = [NSMutableArray new];
    session->deadline = [NSMutableArray new];
    /* Without a timer or an fd a run loop returns at once. */
    set_timer(session, session->ready, QTLOOP_READY, NEVER);
    set_timer(session, session->ready, QTLOOP_READY, -1);
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

static void stop(void *of)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    QtloopSession *session = of;
    for (QtloopTimer *each in [session->ready arrayByAddingObjectsFromArray:session->deadline])
        [each->timer invalidate];
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
    /* A run loop by itself has no end but ours; `-[NSApplication run]` has, see docs/hosts.md. */
    (void)drain;
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
    set_timer(session, session->ready, QTLOOP_READY, armed ? 0 : -1);
    [pool release];
}

static void set_deadline(void *of, int64_t nanoseconds)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    QtloopSession *session = of;
    /* A date is a double of seconds since 2001. Its last digit is a tenth of a microsecond, so the
     * time is rounded up. */
    set_timer(session, session->deadline, QTLOOP_DEADLINE,
              nanoseconds < 0 ? -1 : nanoseconds / 1e9 + 1e-6);
    [pool release];
}

static int32_t watch(void *of, int32_t fd, uint32_t interest)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    QtloopSession *session = of;
    int32_t error = 0;
    NSNumber *number = [NSNumber numberWithInt:fd];
    [[session->watches objectForKey:number] end];
    [session->watches removeObjectForKey:number];
    if (interest) {
        QtloopWatch *watch = [[QtloopWatch new] autorelease];
        watch->session = session;
        watch->fd = fd;
        watch->interest = interest;
        if ([watch begin])
            [session->watches setObject:watch forKey:number];
        else
            error = EBADF;
    }
    [pool release];
    return error;
}

const qtloop_host nsrunloop_host = {
    QTLOOP_HOST_VERSION, "nsrunloop", start, stop, run, quit, arm, set_deadline, watch,
};
