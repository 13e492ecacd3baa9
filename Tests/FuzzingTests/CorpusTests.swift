import Fixtures
import Foundation
import FuzzTargets
import TesseraCheckpoints
import TesseraCore
import TesseraDatasets
import Testing

/// What the fuzzer reached, run again without it: each input is read to its end or refused in one line.
@Suite struct CorpusTests {
  private static func corpus(of target: FuzzTarget) -> String {
    "\(Fixtures.root)/Tests/Fuzzing/corpus/\(target.name).npz"
  }

  /// A tensor of the file as numbers, little-endian.
  private static func numbers<Number: FixedWidthInteger>(
    _ name: String,
    of file: NumpyCheckpoint,
    as type: Number.Type = Number.self
  ) throws -> [Number] {
    let tensor = try #require(file.tensors.first { $0.name == name })
    let count = try #require(tensor.shape.elementCount)
    var numbers = [Number](repeating: 0, count: count)
    try numbers.withUnsafeMutableBytes { try file.read(0..<count, of: tensor, into: $0) }
    return numbers
  }

  /// The inputs that are kept of a target.
  static func inputs(of target: FuzzTarget) throws -> [[UInt8]] {
    let file = try NumpyCheckpoint(path: corpus(of: target))
    let bytes = try numbers("inputs", of: file, as: UInt8.self)
    var end = 0
    return try numbers("sizes", of: file, as: UInt32.self).map { size in
      defer { end += Int(size) }
      return Array(bytes[end..<end + Int(size)])
    }
  }

  @Test func `every layout and every kind of checkpoint has a target and a corpus`() {
    let names = FuzzTarget.all.map(\.name)
    #expect(Set(names).count == names.count)
    for format in DatasetFormat.allCases { #expect(names.contains(FuzzTarget.name(of: format))) }
    for ending in FuzzTarget.checkpointEndings.sorted() {
      let targets = FuzzTarget.names(ofEnding: ending)
      #expect(!targets.isEmpty && targets.allSatisfy(names.contains), "\(ending)")
    }
    for target in FuzzTarget.all {
      #expect(FileManager.default.fileExists(atPath: Self.corpus(of: target)), "\(target.name)")
    }
  }

  // A process of its own: a trap is the failure of one target, and libhdf5 may end the process.
  @Test(arguments: FuzzTarget.all.map(\.name))
  func `kept inputs are read or refused`(name: String) async {
    await #expect(processExitsWith: .success) { [name] in
      guard let target = FuzzTarget.all.first(where: { $0.name == name }) else { exit(64) }
      if target.usesHDF5 { HDF5.endProcess() }
      let folder = try FuzzFolder()
      var accepted = 0
      for (index, input) in try CorpusTests.inputs(of: target).enumerated() {
        var (outcome, time) = timed { target.run(input, in: folder) }
        // The first input of a kind makes tables that all others use.
        if time > mostSeconds { (outcome, time) = timed { target.run(input, in: folder) } }
        if case .finding(let words) = outcome { complain("\(name) input \(index): \(words)") }
        if time > mostSeconds { complain("\(name) input \(index): \(time) s") }
        if outcome == .accepted { accepted += 1 }
      }
      // A corpus of which nothing is read any more says nothing: make it anew.
      if accepted == 0 {
        complain("\(name): not one input is read to its end; see Tests/Fuzzing/README.md")
      }
    }
  }
}

/// The most time of this process that an input may take, in seconds.
private let mostSeconds = 5.0

/// What a body gives, and the time of this process that it took, in seconds.
private func timed<Value>(_ body: () -> Value) -> (Value, Double) {
  let start = clock()
  let value = body()
  return (value, Double(clock() - start) / Double(CLOCKS_PER_SEC))
}

/// Ends the process with a line.
private func complain(_ words: String) -> Never {
  FileHandle.standardError.write(Data("\(words)\n".utf8))
  exit(1)
}
