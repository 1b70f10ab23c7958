#include "bridge.h"

#include <QtCore/QCoreApplication>
#include <QtCore/QEvent>
#include <QtCore/QEventLoop>
#include <QtCore/QThread>

#include <algorithm>
#include <limits>

namespace qtloop {

// Reports its fd straight from the event, which spares the signal.
class Notifier final : public QSocketNotifier
{
public:
    Notifier(Bridge *bridge, qint32 fd, Type type)
        : QSocketNotifier(fd, type, bridge), m_bridge(bridge), m_fd(fd),
          m_interest(type == QSocketNotifier::Read ? qtloop::Read : qtloop::Write)
    {
    }

protected:
    bool event(QEvent *event) override
    {
        if (event->type() != QEvent::SockAct)
            return QSocketNotifier::event(event);
        // An activation may still be on its way when the watch ends.
        if (isEnabled())
            m_bridge->report(qtloop::Event::Fd, m_fd, m_interest);
        return true;
    }

private:
    Bridge *const m_bridge;
    const qint32 m_fd;
    const quint32 m_interest;
};

// A quit that was posted to the application, kept while a loop of ours runs inside another one.
// Closing the last window posts one, and QEventLoop::exec() discards it on entry: right for its own
// sake, but it was meant for the loop around.
class HeldQuit final : public QObject
{
public:
    HeldQuit()
    {
        QCoreApplication *app = QCoreApplication::instance();
        // With no loop around it is forgotten, as Qt has it: delivered later, it would end what has
        // not begun yet.
        if (!app || app->thread() != thread() || thread()->loopLevel() == 0)
            return;
        app->installEventFilter(this);
        QCoreApplication::sendPostedEvents(app, QEvent::Quit);
        app->removeEventFilter(this);
    }

    void giveBack() const
    {
        if (m_isHeld && QCoreApplication::instance())
            QCoreApplication::postEvent(QCoreApplication::instance(), new QEvent(QEvent::Quit));
    }

    bool eventFilter(QObject *, QEvent *event) override
    {
        const bool isQuit = event->type() == QEvent::Quit;
        m_isHeld |= isQuit;
        return isQuit;
    }

private:
    bool m_isHeld = false;
};

// One run() on the stack.
struct Bridge::Run {
    QEventLoop *loop; // null: the application's own loop
    bool quit;
    Run *outer;
};

Bridge::Bridge(void *context, Report report) : m_context(context), m_report(report) { }

Bridge::~Bridge()
{
    // Children of a QObject outlive its members; the notifiers must not outlive what they report
    // to.
    for (const Pair &pair : std::as_const(m_notifiers)) {
        delete pair.reader;
        delete pair.writer;
    }
}

Bridge *Bridge::create(void *context, Report report)
{
    if (!QCoreApplication::instance())
        return nullptr;
    QEventLoop givesTheThreadItsDispatcher;
    return new Bridge(context, report);
}

static bool canExecApplication()
{
    const QCoreApplication *app = QCoreApplication::instance();
    return app && app->thread() == QThread::currentThread() && app->thread()->loopLevel() == 0;
}

// Ends every event loop of this thread, as quitting the application or the thread does.
static void exitThread()
{
    const QCoreApplication *app = QCoreApplication::instance();
    if (app && app->thread() == QThread::currentThread())
        QCoreApplication::exit();
    else
        QThread::currentThread()->exit();
}

qint32 Bridge::run(bool drain)
{
    if (!drain && canExecApplication()) {
        Run run { nullptr, false, m_run };
        m_run = &run;
        const int code = QCoreApplication::exec();
        m_run = run.outer;
        return code;
    }
    const HeldQuit held;
    QEventLoop loop;
    Run run { &loop, false, m_run };
    m_run = &run;
    loop.exec();
    // Unless the application has quit meanwhile: then all its loops end already.
    if (run.quit)
        held.giveBack();
    // While the application quits, a QEventLoop ends at once; finalizers still need their events.
    while (drain && !run.quit)
        loop.processEvents(QEventLoop::WaitForMoreEvents);
    m_run = run.outer;
    return 0;
}

void Bridge::quit()
{
    if (!m_run)
        return exitThread();
    m_run->quit = true;
    if (m_run->loop)
        m_run->loop->exit();
    else
        QCoreApplication::exit();
}

void Bridge::arm()
{
    // Qt does not fire a timer again while its event is handled; a fresh one has a new id, and
    // fires in nested loops too.
    m_ready.stop();
    m_ready.start(0, this);
}

void Bridge::disarm()
{
    m_ready.stop();
}

void Bridge::setDeadline(qint64 nanoseconds)
{
    m_deadline.stop();
    if (nanoseconds < 0)
        return;
    // Whole milliseconds, rounded up: late by less than one, never early. A clamped one is early,
    // and set again then.
    const qint64 milliseconds = nanoseconds / 1000000 + (nanoseconds % 1000000 ? 1 : 0);
    const qint64 longest = std::numeric_limits<int>::max();
    m_deadline.start(int(std::min(milliseconds, longest)), Qt::PreciseTimer, this);
}

void Bridge::setEnabled(Notifier *&notifier, qint32 fd, QSocketNotifier::Type type, bool enabled)
{
    // Disabled notifiers are kept, not deleted: the change may come from within the notifier's own
    // event.
    if (notifier)
        notifier->setEnabled(enabled);
    else if (enabled)
        notifier = new Notifier(this, fd, type);
}

void Bridge::watch(qint32 fd, quint32 interest)
{
    if (interest == None && !m_notifiers.contains(fd))
        return;
    Pair &pair = m_notifiers[fd];
    setEnabled(pair.reader, fd, QSocketNotifier::Read, interest & Read);
    setEnabled(pair.writer, fd, QSocketNotifier::Write, interest & Write);
}

void Bridge::report(Event event, qint32 fd, quint32 interest) const
{
    m_report(m_context, quint32(event), fd, interest);
}

void Bridge::timerEvent(QTimerEvent *event)
{
    if (event->timerId() == m_ready.timerId()) {
        m_ready.stop();
        report(Event::Ready);
    } else if (event->timerId() == m_deadline.timerId()) {
        m_deadline.stop();
        report(Event::Deadline);
    }
}

} // namespace qtloop
