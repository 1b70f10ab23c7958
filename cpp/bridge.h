// The C++ half of the native host: the Qt objects of one run, on the thread that created them.
//
// Only QtCore and only its public API, without moc, so that what is built against one Qt 6 runs
// with every later one.
#pragma once

#include <QtCore/QBasicTimer>
#include <QtCore/QHash>
#include <QtCore/QObject>
#include <QtCore/QSocketNotifier>

class QEventLoop;

namespace qtloop {

// What happened; the numbers are those of the Rust side.
enum class Event : quint32 { Ready = 0, Deadline = 1, Fd = 2 };
enum Interest : quint32 { None = 0, Read = 1, Write = 2 };

using Report = void (*)(void *context, quint32 event, qint32 fd, quint32 interest);

class Notifier;

class Bridge final : public QObject
{
public:
    // Null if the calling thread cannot have an event loop.
    static Bridge *create(void *context, Report report);
    ~Bridge() override;

    // Runs an event loop until quit(), or until the application quits; `drain` ignores the latter.
    // Returns the exit code if the loop was the application's; whoever runs that gets it otherwise.
    qint32 run(bool drain);
    void quit();

    void arm();
    void disarm();
    // A negative number takes the deadline back.
    void setDeadline(qint64 nanoseconds);
    void watch(qint32 fd, quint32 interest);

    void report(Event event, qint32 fd = -1, quint32 interest = None) const;

protected:
    void timerEvent(QTimerEvent *event) override;

private:
    struct Run;
    struct Pair {
        Notifier *reader = nullptr;
        Notifier *writer = nullptr;
    };

    Bridge(void *context, Report report);
    void setEnabled(Notifier *&notifier, qint32 fd, QSocketNotifier::Type type, bool enabled);

    void *const m_context;
    const Report m_report;
    QBasicTimer m_ready;
    QBasicTimer m_deadline;
    QHash<qint32, Pair> m_notifiers;
    Run *m_run = nullptr;
};

} // namespace qtloop
