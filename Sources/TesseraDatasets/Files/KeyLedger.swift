import Crypto
import TesseraCore

/// The keys that were met, so that none occurs twice: memory stays bounded however many there are.
///
/// Digests of keys stand in a set while they are few, and beyond that, sorted, in files without a name,
/// which are compared at the end.
struct KeyLedger {
  /// The first 16 bytes of a key's SHA-256.
  struct Digest: Hashable, Comparable {
    let high: UInt64
    let low: UInt64

    init(of key: String) {
      let bytes = SHA256.hash(data: Array(key.utf8)).prefix(16)
      high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
      low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    fileprivate init(high: UInt64, low: UInt64) {
      (self.high, self.low) = (high, low)
    }

    fileprivate var bucket: Int { Int(high >> 56) }

    static func < (left: Digest, right: Digest) -> Bool {
      (left.high, left.low) < (right.high, right.low)
    }
  }

  /// Sorted digests in a file, and where those of each first byte start.
  private struct Run {
    let region: FileRegion
    let starts: [Int]
  }

  private static let bytesPerDigest = 16
  private static let buckets = 256

  private let mostInMemory: Int
  private var fresh: Set<Digest> = []
  private var runs: [Run] = []

  /// Starts without keys; `mostInMemory` digests stay in memory.
  init(mostInMemory: Int = 1 << 20) { self.mostInMemory = mostInMemory }

  /// Notes a key; false where it is known to have been met.
  ///
  /// Others that were are found by ``repeated()``.
  mutating func insert(_ key: String) throws -> Bool {
    if fresh.count >= mostInMemory { try spill() }
    return fresh.insert(Digest(of: key)).inserted
  }

  /// The digest of a key that was met twice; nil where none was.
  mutating func repeated() throws -> Digest? {
    if runs.isEmpty { return nil }
    try spill()
    for bucket in 0..<Self.buckets {
      var all: [Digest] = []
      for run in runs {
        all += try Self.digests(of: run, from: run.starts[bucket], to: run.starts[bucket + 1])
      }
      all.sort()
      for (left, right) in zip(all, all.dropFirst()) where left == right { return left }
    }
    return nil
  }

  private mutating func spill() throws {
    let sorted = fresh.sorted()
    var starts = [Int](repeating: 0, count: Self.buckets + 1)
    for digest in sorted { starts[digest.bucket + 1] += 1 }
    for bucket in 0..<Self.buckets { starts[bucket + 1] += starts[bucket] }
    let region = try FileRegion(temporaryFor: "the keys of samples") { append in
      let halves = sorted.flatMap { [$0.high, $0.low] }
      try append(DatasetCell(shape: [halves.count], elements: halves).bytes[...])
    }
    runs.append(Run(region: region, starts: starts))
    fresh.removeAll(keepingCapacity: true)
  }

  private static func digests(of run: Run, from start: Int, to end: Int) throws -> [Digest] {
    let bytes = try run.region.bytes(start * bytesPerDigest..<end * bytesPerDigest)
    let halves = DatasetCell(shape: [], bytes: bytes).elements(as: UInt64.self)
    return (0..<end - start).map { Digest(high: halves[2 * $0], low: halves[2 * $0 + 1]) }
  }
}
