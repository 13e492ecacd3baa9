import Fixtures
import Foundation
import TesseraCore
import Testing

@Suite struct AtomicFileTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private var output: String { "\(folder.path)/out.bin" }

  @Test func `the bytes appear under the final name only by commit`() throws {
    var file = try AtomicFile(path: output)
    try file.write([1, 2])
    try file.write([3])
    #expect(file.position == 3)
    #expect(folder.names.count == 1)
    #expect(folder.names[0].hasPrefix(".partial-"))
    try file.commit()
    #expect(folder.names == ["out.bin"])
    #expect(folder.bytes(of: "out.bin") == [1, 2, 3])
  }

  @Test func `a dropped file leaves the older one untouched and nothing else`() throws {
    var first = try AtomicFile(path: output)
    try first.write([7])
    try first.commit()
    do {
      var second = try AtomicFile(path: output)
      try second.write([8, 8])
      _ = consume second
    }
    #expect(folder.names == ["out.bin"])
    #expect(folder.bytes(of: "out.bin") == [7])
  }

  @Test func `reserved space is part of the file and offsets may come in any order`() throws {
    let file = try AtomicFile(path: output)
    try file.reserve(byteCount: 4)
    try [9, 9].withUnsafeBytes { try file.write(UnsafeRawBufferPointer(rebasing: $0[..<1]), at: 2) }
    try file.commit()
    #expect(folder.bytes(of: "out.bin") == [0, 0, 9, 0])
  }

  @Test func `an input is never written over, not even through a link`() throws {
    let input = "\(folder.path)/in.bin"
    _ = FileManager.default.createFile(atPath: input, contents: Data([1]))
    try FileManager.default.linkItem(atPath: input, toPath: output)
    #expect(throws: TesseraError.self) { _ = try AtomicFile(path: output, reading: [input]) }
    #expect(folder.names == ["in.bin", "out.bin"])
  }

  @Test func `a missing folder, a folder and a device are refused by the final name`() throws {
    #expect(throws: TesseraError.system("create the file", "/nowhere/x", ENOENT)) {
      _ = try AtomicFile(path: "/nowhere/x")
    }
    #expect(throws: TesseraError.self) { _ = try AtomicFile(path: folder.path) }
    #expect(throws: TesseraError.self) { _ = try AtomicFile(path: "/dev/full") }
  }

  @Test func `a set appears together, and not at all where one rename fails`() throws {
    let commit = {
      var set = AtomicFileSet()
      for name in ["a", "b"] {
        var file = try AtomicFile(path: "\(folder.path)/\(name)")
        try file.write(Array(name.utf8))
        try set.add(file)
      }
      let last = try AtomicFile(path: "\(folder.path)/c")
      #expect(folder.names.allSatisfy { $0.hasPrefix(".partial-") })
      // A folder in the way of the second name makes its rename fail.
      try FileManager.default.createDirectory(
        atPath: "\(folder.path)/b",
        withIntermediateDirectories: false
      )
      try set.commit(with: last)
    }
    #expect(throws: TesseraError.self) { try commit() }
    #expect(folder.names == ["b"])
  }

  @Test func `what a killed run left is taken over, what another run writes is refused`() throws {
    var names: [String] = []
    do {
      var first = try AtomicFile(path: output)
      names = folder.names
      try first.write([1, 2, 3])
      #expect(throws: TesseraError.outputInUse(output)) {
        _ = try AtomicFile(path: output)
      }
      _ = consume first
    }
    #expect(names.count == 1 && folder.names.isEmpty)
    _ = try folder.write([7, 7, 7, 7], to: names[0])
    var second = try AtomicFile(path: output)
    try second.write([8])
    try second.commit()
    #expect(folder.names == ["out.bin"])
    #expect(folder.bytes(of: "out.bin") == [8])
  }

  @Test func `runs that write the same bytes may share an output`() throws {
    var first = try AtomicFile(inDataset: output, isShared: true)
    var second = try AtomicFile(inDataset: output, isShared: true)
    try first.write([5])
    try second.write([5])
    try first.commit()
    try second.commit()
    #expect(folder.names == ["out.bin"])
  }

  @Test func `older files of a set are gone before new ones appear, others of it too`() throws {
    for name in ["a", "c", "older"] { _ = try folder.write([0], to: name) }
    var set = AtomicFileSet()
    var file = try AtomicFile(path: "\(folder.path)/a")
    try file.write([1])
    try set.add(file)
    let last = try AtomicFile(path: "\(folder.path)/c")
    try set.commit(with: last, replacing: ["\(folder.path)/older"])
    #expect(folder.names == ["a", "c"])
    #expect(folder.bytes(of: "a") == [1])
    #expect(folder.bytes(of: "c")?.isEmpty == true)
  }
}
