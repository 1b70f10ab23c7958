// What a signal's argument holds, told piece by piece to Rust.
#pragma once

#include <QtCore/QByteArray>

namespace qtloop {

// What a piece is; the numbers are those of the Rust side.
enum class Kind : quint32 {
    Null = 0,
    Bool = 1,
    Int = 2,
    UInt = 3,
    Double = 4,
    String = 5,
    Bytes = 6,
    Object = 7,
    List = 8,
    Other = 9,
};

// One value. A list's elements follow it as pieces of their own. What is pointed to lives until
// put() returns.
struct Piece {
    Kind kind;
    qint64 integer = 0; // Bool, Int, and UInt's bits
    double real = 0;
    // String: UTF-16; Bytes, Other (the type's name): bytes; Object: itself
    const void *data = nullptr;
    quint64 size = 0; // in units of what is pointed to
};

// Appends a value to what `into` points to; of a list, returns what its elements are to be put
// into.
using Put = void *(*)(void *into, const Piece *piece);

// Puts the value of this type (QMetaType's number) at `data`.
void putValue(int type, const void *data, void *into, Put put);
// Puts a value that cannot be read.
void putOther(const QByteArray &typeName, void *into, Put put);

} // namespace qtloop
