/// libiscsicore for C++17 and later: the C interface of iscsicore.h with handles that free themselves.
///
///     namespace ic = iscsicore;
///     ic::nexus nexus = ic::nexus::create(options, seed, ic::instant::now()).value();
///     while (const iscsicore_nexus_event *event = nexus.next_event().value()) { ... }
///
/// - Every function of iscsicore.h is here: as a member of the handle that is its first argument, or else of the namespace. What
///   it does, and on which thread it may be called, iscsicore.h says; events, options and other structs are those of C.
/// - A handle (iscsicore::host, iscsicore::nexus ..) owns what it holds, moves, and is not copied.
/// - A call returns an iscsicore::result, which holds a value or a failure. `.value()` throws iscsicore::error, or aborts where
///   exceptions are off or ISCSICORE_NO_EXCEPTIONS is defined; `if (result)`, `.status()` and `.message()` do without. Nothing
///   else throws, but for what the standard library throws when memory runs out.
/// - Bytes are iscsicore::span, which is std::span from C++20 on; time is anything of std::chrono that counts from the same
///   moment as everything else that is given to a handle; payload is an iscsicore::payload, which owns what it lends.
/// - `iscsicore::options<iscsicore_limits>()` makes a struct of options with its size filled in.
#ifndef ISCSICORE_HPP
#define ISCSICORE_HPP

#include "iscsicore/command.hpp"
#include "iscsicore/disk.hpp"
#include "iscsicore/host.hpp"
#include "iscsicore/link.hpp"
#include "iscsicore/memory.hpp"
#include "iscsicore/nexus.hpp"
#include "iscsicore/payload.hpp"
#include "iscsicore/result.hpp"
#include "iscsicore/scsi.hpp"
#include "iscsicore/simple.hpp"
#include "iscsicore/target.hpp"

#endif
