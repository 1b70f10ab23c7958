/* What the program does in Objective-C: a timer of Foundation's, and a run loop inside the run
 * loop. */
#import <Foundation/Foundation.h>

@interface Ticker : NSObject {
@public
    int ticks;
}
- (void)tick:(NSTimer *)timer;
@end

@implementation Ticker
- (void)tick:(NSTimer *)timer
{
    ticks++;
}
@end

static Ticker *ticker;
static NSTimer *timer;

/* Lets a timer tick every 20 ms. */
void start_ticking(void)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    ticker = [Ticker new];
    timer = [[NSTimer scheduledTimerWithTimeInterval:0.02
                                              target:ticker
                                            selector:@selector(tick:)
                                            userInfo:nil
                                             repeats:YES] retain];
    [pool release];
}

/* How often it has ticked. */
int stop_ticking(void)
{
    int ticks = ticker->ticks;
    [timer invalidate];
    [timer release];
    [ticker release];
    return ticks;
}

/* Does not return for so long, as a modal panel would not. */
void run_modally(double seconds)
{
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    [[NSRunLoop currentRunLoop] runUntilDate:[NSDate dateWithTimeIntervalSinceNow:seconds]];
    [pool release];
}
