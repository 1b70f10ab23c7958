// The signs of life of a thread's event loop, for debug mode's watchdog.
#pragma once

#include <QtCore/QAbstractEventDispatcher>
#include <QtCore/QCoreApplication>
#include <QtCore/QEventLoop>
#include <QtCore/QThread>

namespace qtloop {

// What happens; the numbers are those of the Rust side.
enum class Sign : quint32 { Busy = 0, Turned = 1, Asleep = 2 };

using Tell = void (*)(void *context, quint32 sign);

// Tells about the thread that makes it, until it is deleted there.
class Signs final : public QObject
{
public:
    // Null if the calling thread cannot have an event loop.
    static Signs *create(void *context, Tell tell)
    {
        QCoreApplication *app = QCoreApplication::instance();
        return app ? new Signs(app, context, tell) : nullptr;
    }

protected:
    // The dispatcher does not say when it wakes. Its first event does; but filters see only those
    // of the application's thread.
    bool eventFilter(QObject *, QEvent *) override
    {
        tell(Sign::Busy);
        return false;
    }

private:
    Signs(QCoreApplication *app, void *context, Tell tell) : m_context(context), m_tell(tell)
    {
        QEventLoop givesTheThreadItsDispatcher;
        const QAbstractEventDispatcher *dispatcher = QAbstractEventDispatcher::instance();
        connect(dispatcher, &QAbstractEventDispatcher::awake, this,
                [this] { this->tell(Sign::Turned); });
        connect(dispatcher, &QAbstractEventDispatcher::aboutToBlock, this,
                [this] { this->tell(Sign::Asleep); });
        if (app->thread() == QThread::currentThread())
            app->installEventFilter(this);
    }

    void tell(Sign sign) const { m_tell(m_context, quint32(sign)); }

    void *const m_context;
    const Tell m_tell;
};

} // namespace qtloop
