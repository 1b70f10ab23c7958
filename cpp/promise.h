// A JavaScript promise that C++ settles.
#pragma once

#include <QtCore/QPointer>
#include <QtCore/QString>
#include <QtCore/QVariant>
#include <QtQml/QJSEngine>
#include <QtQml/QJSValue>

namespace qtloop {

// The resolving functions of a promise. It is used on the engine's thread, and may outlive the
// engine.
class Deferred
{
public:
    // Null if the object was never seen by an engine. `promise` becomes the promise.
    static Deferred *create(const QObject *object, QJSValue *promise)
    {
        QJSEngine *engine = object ? qjsEngine(object) : nullptr;
        return engine ? new Deferred(engine, promise) : nullptr;
    }

    void resolve(const QVariant &value)
    {
        if (m_engine)
            m_resolve.call({ m_engine->toScriptValue(value) });
    }

    void reject(const QString &message)
    {
        if (m_engine)
            m_reject.call({ m_engine->newErrorObject(QJSValue::GenericError, message) });
    }

private:
    Deferred(QJSEngine *engine, QJSValue *promise) : m_engine(engine)
    {
        const QJSValue parts = engine->evaluate(QStringLiteral(
                "(function() { const parts = {};"
                " parts.promise = new Promise((resolve, reject) => {"
                " parts.resolve = resolve; parts.reject = reject; });"
                " return parts; })()"));
        *promise = parts.property(QStringLiteral("promise"));
        m_resolve = parts.property(QStringLiteral("resolve"));
        m_reject = parts.property(QStringLiteral("reject"));
    }

    // The engine clears the values when it goes.
    const QPointer<QJSEngine> m_engine;
    QJSValue m_resolve;
    QJSValue m_reject;
};

} // namespace qtloop
