// A signal of any object, known by its name at run time, brought to Rust.
#pragma once

#include "value.h"

#include <QtCore/QMetaMethod>
#include <QtCore/QObject>
#include <QtCore/QVector>

namespace qtloop {

class Receiver;

// Tells of an emission, whose arguments the receiver can read() at first, or with null of the
// sender's destruction.
using TellEmission = void (*)(const void *context, const Receiver *receiver, void **arguments);

// One connection. Has, without moc, two methods behind those of QObject: for the signal, and for
// the sender's destruction. It is always told on the thread that made it. It may be deleted while
// it tells.
class Receiver final : public QObject
{
public:
    // Null if `sender` has no such signal.
    static Receiver *connect(QObject *sender, const char *signal, const void *context,
                             TellEmission tell);
    ~Receiver() override;

    void read(void **arguments, void *into, Put put) const;

    int qt_metacall(QMetaObject::Call call, int id, void **arguments) override;

private:
    struct Parameter {
        int type;
        QByteArray name;
    };

    Receiver(QObject *sender, const QMetaMethod &signal, const void *context, TellEmission tell);
    void tellDestroyed();

    const void *const m_context;
    const TellEmission m_tell;
    QVector<Parameter> m_parameters;
    QMetaObject::Connection m_signal;
    QMetaObject::Connection m_destroyed;
};

} // namespace qtloop
