import Fixtures
import Foundation
import TesseraCheckpoints
import TesseraCore
import Testing

/// What h5py reads from each file of fixtures/weights/hdf5, written by make_hdf5.py.
private struct Expected: Decodable {
  let tensors: [String: GoldenTensor]
  let refused: [String]

  static let files: [String: Expected] = {
    let path = Fixtures.path("weights/hdf5/expected.json")
    guard let data = FileManager.default.contents(atPath: path) else { return [:] }
    return (try? JSONDecoder().decode([String: Expected].self, from: data)) ?? [:]
  }()
}

private func open(_ name: String) throws -> HDF5Checkpoint {
  try HDF5Checkpoint(path: Fixtures.path("weights/hdf5/\(name)"))
}

@Suite struct HDF5Tests {
  static let names = [
    "types.h5", "bfloat16.h5", "layouts.h5", "latest.h5", "newer.h5", "links.h5", "bombs.h5",
    "attributes.h5",
  ]

  @Test(arguments: names) func `tensors equal h5py's, whole and in odd ranges`(_ name: String)
    throws
  {
    let expected = try #require(Expected.files[name])
    let file = try open(name)
    #expect(Set(file.tensors.map(\.name)) == Set(expected.tensors.keys))
    for tensor in file.tensors {
      let golden = try #require(expected.tensors[tensor.name])
      #expect(tensor.elementType.rawValue == golden.dtype, "\(tensor.name)")
      #expect(tensor.shape.dimensions == golden.shape, "\(tensor.name)")
      for step in [Int.max, 7, 100] {
        let digest = try file.digest(of: tensor, step: step)
        #expect(digest == golden.sha256, "\(tensor.name) by \(step)")
      }
    }
  }

  @Test(arguments: names) func `what cannot be read exactly is refused by name`(_ name: String)
    throws
  {
    let expected = try #require(Expected.files[name])
    let file = try open(name)
    #expect(file.refusals.count == expected.refused.count)
    for refused in expected.refused {
      #expect(file.refusals.contains { $0.name == refused }, "\(refused)")
    }
    #expect(file.refusals.map(\.description).allSatisfy(file.notes.contains))
  }

  @Test(arguments: ["layouts.h5", "types.h5"])
  func `a file in memory reads as the file on the disk`(_ name: String) throws {
    let path = Fixtures.path("weights/hdf5/\(name)")
    let bytes = try #require(FileManager.default.contents(atPath: path))
    let memory = try HDF5Checkpoint(bytes: Array(bytes))
    let disk = try HDF5Checkpoint(path: path)
    #expect(memory.tensors == disk.tensors)
    for tensor in disk.tensors {
      #expect(try memory.bytes(of: tensor) == disk.bytes(of: tensor))
    }
  }

  @Test func `ranges that jump back and forth between tensors give the same bytes`() throws {
    let file = try open("layouts.h5")
    let names = ["gzip", "chunked", "shuffled_big", "szip"]
    let tensors = try names.map { try #require(file.tensor($0)) }
    let whole = try tensors.map { try file.bytes(of: $0) }
    for turn in 0..<60 {
      let index = turn % tensors.count
      let tensor = tensors[index]
      let width = tensor.elementType.bitWidth / 8
      let first = turn * 977 % 2500
      let range = first..<first + 1 + turn * 37 % 300
      var part = [UInt8](repeating: 0, count: range.count * width)
      try part.withUnsafeMutableBytes { try file.read(range, of: tensor, into: $0) }
      #expect(part[...] == whole[index][range.lowerBound * width..<range.upperBound * width])
    }
  }

  @Test func `tasks read one file at the same time`() async throws {
    let file = try open("layouts.h5")
    let whole = try file.tensors.map { try file.bytes(of: $0) }
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for turn in 0..<40 {
        let index = turn % whole.count
        group.addTask {
          try file.bytes(of: file.tensors[index], step: 64 + turn) == whole[index]
        }
      }
      for try await isEqual in group { #expect(isEqual) }
    }
  }

  @Test func `opaque bf16 with and without attr`() throws {
    let file = try open("bfloat16.h5")
    #expect(file.tensor("stated")?.elementType == .bfloat16)
    #expect(file.tensor("unstated") == nil)
    let told = try HDF5Checkpoint(
      path: Fixtures.path("weights/hdf5/bfloat16.h5"),
      opaqueAs: .bfloat16
    )
    let unstated = try #require(told.tensor("unstated"))
    let stated = try #require(told.tensor("stated"))
    #expect(unstated.elementType == .bfloat16)
    #expect(try told.bytes(of: unstated) == told.bytes(of: stated))
    #expect(told.refusals.isEmpty)
  }

  @Test func `unaligned contiguous data`() throws {
    // An odd user block would be invalid; a byte in front of float64 is enough to lose alignment.
    let file = try open("layouts.h5")
    let tensor = try #require(file.tensor("contiguous"))
    var storage = [UInt8](repeating: 0, count: 4 * 100 + 1)
    try storage.withUnsafeMutableBytes { buffer in
      let odd = UnsafeMutableRawBufferPointer(rebasing: buffer[1...])
      try file.read(3..<103, of: tensor, into: odd)
    }
    #expect(try file.bytes(of: tensor)[12..<412] == storage[1...])
  }

  @Test func `a shape bomb, a chunk bomb and an inflating bomb`() throws {
    let file = try open("bombs.h5")
    #expect(file.tensors.isEmpty)
    #expect(file.refusals.contains { $0.name == "shape" && $0.cause.contains("shape bomb") })
    #expect(file.refusals.contains { $0.name == "chunk" && $0.cause.contains("chunk bomb") })
    let inflated = try open("inflated.h5")
    let tensor = try #require(inflated.tensor("a"))
    let error = #expect(throws: TesseraError.self) { try inflated.bytes(of: tensor) }
    #expect(error?.description.contains("longer than the chunk") == true)
  }

  @Test func `an external link, external storage and a virtual dataset`() throws {
    let refusals = try open("links.h5").refusals.filter(\.isUnsafe).map(\.description)
    #expect(refusals.contains { $0.contains("outside: an external link") })
    #expect(refusals.contains { $0.contains("apart: external storage") })
    #expect(refusals.contains { $0.contains("virtual: a virtual dataset") })
  }

  @Test func `a second name is an alias, and a group that holds itself ends`() throws {
    let file = try open("links.h5")
    #expect(file.tensor("second")?.aliasOf == "group/data")
    #expect(file.tensor("soft")?.aliasOf == "group/data")
    #expect(file.notes.contains { $0.hasPrefix("group/loop: a second name") })
  }

  @Test func `fixed and vlen strings`() throws {
    let attributes = try open("attributes.h5").attributes
    #expect(attributes["keras_version"] == "2.9.0")
    #expect(attributes["backend"] == "tensorflow")
    #expect(attributes["padded"] == "ab" || attributes["padded"] == "ab  ")
    #expect(attributes["umlaut"] == "größe")
    #expect(attributes["numbers"] == "[1, 2, 3]")
    #expect(attributes["ratio"] == "0.5")
  }

  @Test func `a cut file is refused at every length`() throws {
    let path = Fixtures.path("weights/hdf5/layouts.h5")
    let bytes = Array(try #require(FileManager.default.contents(atPath: path)))
    for length in [0, 1, 8, 511, 1024, 1032, 1100, 2000, 5000, bytes.count / 2, bytes.count - 1] {
      #expect(throws: TesseraError.self, "\(length)") {
        try HDF5Checkpoint(bytes: Array(bytes[..<length]))
      }
    }
  }

  @Test func `what is no file, or no HDF5 file, is named`() throws {
    let missing = #expect(throws: TesseraError.self) { try HDF5Checkpoint(path: "/nowhere/a.h5") }
    #expect(missing?.description.contains("/nowhere/a.h5") == true)
    #expect(throws: TesseraError.self) { try HDF5Checkpoint(path: Fixtures.path("weights")) }
    let text = #expect(throws: TesseraError.self) {
      try HDF5Checkpoint(path: Fixtures.path("weights/make_hdf5.py"))
    }
    #expect(text?.description.contains("no HDF5 signature") == true)
  }
}

@Suite(.enabled(if: Fixtures.sharedData != nil, "../shared/data is absent"))
struct HDF5ConformanceTests {
  /// Files that the HDF Group's own tests use, many of them damaged on purpose.
  static let files: [String] = {
    guard let shared = Fixtures.sharedData else { return [] }
    let root = "\(shared)/hdf5/hdfgroup"
    let names = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
    return names.filter { $0.hasSuffix(".h5") }.sorted().map { "\(root)/\($0)" }
  }()

  @Test func `every file of the HDF Group opens or gives one clear line, within a second`() throws {
    #expect(HDF5ConformanceTests.files.count > 300)
    var opened = 0
    for path in HDF5ConformanceTests.files {
      let clock = ContinuousClock()
      let elapsed = clock.measure {
        do {
          let file = try HDF5Checkpoint(path: path)
          #expect(file.notes.allSatisfy { !$0.contains("\n") })
          opened += 1
        } catch {
          let line = (error as? TesseraError)?.description ?? ""
          #expect(line.hasPrefix("\(path): ") && !line.contains("\n"), "\(error)")
        }
      }
      #expect(elapsed < .seconds(1), "\(path)")
    }
    #expect(opened >= 265)
  }
}
