#include "value.h"

#include <QtCore/QByteArrayList>
#include <QtCore/QMetaType>
#include <QtCore/QStringList>
#include <QtCore/QVariant>

namespace qtloop {

template <typename T>
static const T &as(const void *data)
{
    return *static_cast<const T *>(data);
}

static Piece number(Kind kind, qint64 integer)
{
    Piece piece { kind };
    piece.integer = integer;
    return piece;
}

static Piece memory(Kind kind, const void *data, qint64 size)
{
    Piece piece { kind };
    piece.data = data;
    piece.size = quint64(size);
    return piece;
}

static Piece object(const QObject *object)
{
    return object ? memory(Kind::Object, object, 0) : Piece { Kind::Null };
}

// QVariant knows the size and the sign.
static qint64 enumeration(int type, const void *data)
{
#if QT_VERSION < QT_VERSION_CHECK(6, 0, 0)
    return QVariant(type, data).toLongLong();
#else
    return QVariant(QMetaType(type), data).toLongLong();
#endif
}

// One value that is no list; `typeName` holds the memory of a type's name.
static Piece single(int type, const void *data, QByteArray &typeName)
{
    switch (type) {
    case QMetaType::UnknownType:
    case QMetaType::Nullptr:
        return Piece { Kind::Null };
    case QMetaType::Bool:
        return number(Kind::Bool, as<bool>(data));
    case QMetaType::Char:
        return number(Kind::Int, as<char>(data));
    case QMetaType::SChar:
        return number(Kind::Int, as<signed char>(data));
    case QMetaType::Short:
        return number(Kind::Int, as<short>(data));
    case QMetaType::Int:
        return number(Kind::Int, as<int>(data));
    case QMetaType::Long:
        return number(Kind::Int, as<long>(data));
    case QMetaType::LongLong:
        return number(Kind::Int, as<qlonglong>(data));
    case QMetaType::UChar:
        return number(Kind::UInt, as<uchar>(data));
    case QMetaType::UShort:
        return number(Kind::UInt, as<ushort>(data));
    case QMetaType::UInt:
        return number(Kind::UInt, as<uint>(data));
    case QMetaType::ULong:
        return number(Kind::UInt, qint64(as<ulong>(data)));
    case QMetaType::ULongLong:
        return number(Kind::UInt, qint64(as<qulonglong>(data)));
    case QMetaType::Float:
    case QMetaType::Double: {
        Piece piece { Kind::Double };
        piece.real = type == QMetaType::Float ? double(as<float>(data)) : as<double>(data);
        return piece;
    }
    case QMetaType::QChar:
        return memory(Kind::String, data, 1);
    case QMetaType::QString:
        return memory(Kind::String, as<QString>(data).constData(), as<QString>(data).size());
    case QMetaType::QByteArray:
        return memory(Kind::Bytes, as<QByteArray>(data).constData(), as<QByteArray>(data).size());
    case QMetaType::QObjectStar:
        return object(as<QObject *>(data));
    }
    const QMetaType meta(type);
    if (meta.flags() & QMetaType::PointerToQObject)
        return object(as<QObject *>(data));
    if (meta.flags() & QMetaType::IsEnumeration)
        return number(Kind::Int, enumeration(type, data));
    typeName = meta.name();
    return memory(Kind::Other, typeName.constData(), typeName.size());
}

template <typename List>
static void putList(const List &list, int type, void *into, Put put)
{
    const Piece piece = memory(Kind::List, nullptr, list.size());
    void *const inner = put(into, &piece);
    for (const auto &element : list)
        putValue(type, &element, inner, put);
}

void putValue(int type, const void *data, void *into, Put put)
{
    switch (type) {
    case QMetaType::QVariant:
        return putValue(as<QVariant>(data).userType(), as<QVariant>(data).constData(), into, put);
    case QMetaType::QVariantList:
        return putList(as<QVariantList>(data), QMetaType::QVariant, into, put);
    case QMetaType::QStringList:
        return putList(as<QStringList>(data), QMetaType::QString, into, put);
    case QMetaType::QByteArrayList:
        return putList(as<QByteArrayList>(data), QMetaType::QByteArray, into, put);
    }
    QByteArray typeName;
    const Piece piece = single(type, data, typeName);
    put(into, &piece);
}

void putOther(const QByteArray &typeName, void *into, Put put)
{
    const Piece piece = memory(Kind::Other, typeName.constData(), typeName.size());
    put(into, &piece);
}

} // namespace qtloop
