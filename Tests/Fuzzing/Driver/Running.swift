import CFuzzer
import Foundation
import FuzzTargets
import TesseraCheckpoints

/// The target that the process runs.
struct Running {
  let target: FuzzTarget
  let folder: FuzzFolder
  var isFirst = true

  /// libFuzzer calls from one thread.
  nonisolated(unsafe) static var state: Running?

  init(target: FuzzTarget, folder: FuzzFolder) {
    self.target = target
    self.folder = folder
  }
}

/// Runs one input, as libFuzzer calls it; a finding aborts.
func runInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let state = Running.state else { return 0 }
  if state.isFirst {
    Running.state?.isFirst = false
    // Behind libFuzzer's handlers, which see what crashes outside of the library.
    if state.target.usesHDF5 { HDF5.endProcess() }
  }
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  if case .finding(let words) = state.target.run(bytes, in: state.folder) {
    FileHandle.standardError.write(Data("FINDING: \(words)\n".utf8))
    abort()
  }
  return 0
}

/// Changes an input: one of its files, so that the marks between them last, and then the checksums
/// that would end the reading.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(
  _ bytes: UnsafeMutablePointer<UInt8>,
  _ count: Int,
  _ most: Int,
  _ seed: UInt32
) -> Int {
  guard let state = Running.state else { return LLVMFuzzerMutate(bytes, count, most) }
  var draw = SeededNumbers(seed)
  var input = Array(UnsafeBufferPointer(start: bytes, count: count))
  let entries = state.target.form == .folder ? FuzzFiles.entries(of: input) : []
  // The manifest, which stands first, has fewer ways to go wrong than the files have.
  let isManifest = draw.next(16) == 0
  let entry = isManifest ? entries.first : entries.dropFirst().randomElement(using: &draw)
  let changed = draw.next(32) == 0 ? input.indices : entry?.bytes ?? input.indices
  var part = Array(input[changed])
  let room = most - (count - part.count)
  guard room >= max(1, part.count) else { return LLVMFuzzerMutate(bytes, count, most) }
  part += [UInt8](repeating: 0, count: room - part.count)
  let size = LLVMFuzzerMutate(&part, changed.count, room)
  input.replaceSubrange(changed, with: part.prefix(size))
  if draw.next(4) != 0 { Repair.checksums(of: &input, target: state.target) }
  input = Array(input.prefix(most))
  bytes.update(from: input, count: input.count)
  return input.count
}

/// Numbers that follow from libFuzzer's seed.
struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt32) { state = UInt64(seed) }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  mutating func next(_ bound: UInt64) -> UInt64 { next() % bound }
}
