#include "signals.h"

#include <QtCore/QCoreApplication>
#include <QtCore/QEvent>
#include <QtCore/QPointer>

namespace qtloop {

enum Method { Emitted, Destroyed, MethodCount };

// By name alone: of several the one with the most parameters, then the one that was declared first.
static QMetaMethod signalNamed(const QMetaObject *meta, const QByteArray &name)
{
    QMetaMethod found;
    for (int index = 0; index < meta->methodCount(); ++index) {
        const QMetaMethod method = meta->method(index);
        if (method.methodType() != QMetaMethod::Signal || method.name() != name)
            continue;
        if (!found.isValid() || method.parameterCount() > found.parameterCount())
            found = method;
    }
    return found;
}

static QMetaMethod findSignal(const QMetaObject *meta, const char *signal)
{
    const QByteArray normalized = QMetaObject::normalizedSignature(signal);
    if (!normalized.contains('('))
        return signalNamed(meta, normalized);
    const int index = meta->indexOfSignal(normalized.constData());
    return index < 0 ? QMetaMethod() : meta->method(index);
}

static int parameterType(QObject *sender, const QMetaMethod &signal, int parameter)
{
    int type = signal.parameterType(parameter);
#if QT_VERSION < QT_VERSION_CHECK(6, 0, 0)
    // Types that nobody has asked for yet are registered by the sender's class.
    if (type == QMetaType::UnknownType) {
        void *question[] = { &type, &parameter };
        QMetaObject::metacall(sender, QMetaObject::RegisterMethodArgumentMetaType,
                              signal.methodIndex(), question);
    }
    if (type < 0)
        type = QMetaType::UnknownType;
#else
    Q_UNUSED(sender)
#endif
    return type;
}

Receiver *Receiver::connect(QObject *sender, const char *signal, const void *context,
                            TellEmission tell)
{
    const QMetaMethod method = findSignal(sender->metaObject(), signal);
    return method.isValid() ? new Receiver(sender, method, context, tell) : nullptr;
}

Receiver::Receiver(QObject *sender, const QMetaMethod &signal, const void *context,
                   TellEmission tell)
    : m_context(context), m_tell(tell)
{
    const QByteArrayList names = signal.parameterTypes();
    for (int i = 0; i < signal.parameterCount(); ++i)
        m_parameters.append({ parameterType(sender, signal, i), names.at(i) });
    // What is emitted on this thread comes at once. The rest waits for its event loop: a QThread's
    // signals, for one.
    const auto bind = [&](int index, Method method) {
        const int own = QObject::staticMetaObject.methodCount() + method;
        return QMetaObject::connect(sender, index, this, own, Qt::AutoConnection);
    };
    m_signal = bind(signal.methodIndex(), Emitted);
    m_destroyed = bind(QObject::staticMetaObject.indexOfSignal("destroyed(QObject*)"), Destroyed);
}

Receiver::~Receiver()
{
    // Unlike the destruction of a receiver this tells the sender (disconnectNotify).
    QObject::disconnect(m_signal);
    QObject::disconnect(m_destroyed);
}

void Receiver::read(void **arguments, void *into, Put put) const
{
    // arguments[0] is for a return value.
    for (const Parameter &parameter : m_parameters) {
        const void *argument = *++arguments;
        if (parameter.type == QMetaType::UnknownType)
            putOther(parameter.name, into, put);
        else
            putValue(parameter.type, argument, into, put);
    }
}

int Receiver::qt_metacall(QMetaObject::Call call, int id, void **arguments)
{
    id = QObject::qt_metacall(call, id, arguments);
    if (id < 0 || call != QMetaObject::InvokeMetaMethod)
        return id;
    // Either may delete this.
    if (id == Emitted)
        m_tell(m_context, this, arguments);
    else if (id == Destroyed)
        tellDestroyed();
    return id - MethodCount;
}

void Receiver::tellDestroyed()
{
    // What other threads emitted before is still on its way.
    const QPointer<Receiver> self(this);
    QCoreApplication::sendPostedEvents(this, QEvent::MetaCall);
    if (self)
        m_tell(m_context, this, nullptr);
}

} // namespace qtloop
