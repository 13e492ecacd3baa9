import Fixtures
import Foundation
import Readers
import Testing
import Writers

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
    #expect(throws: SameFileError.self) { _ = try AtomicFile(path: output, reading: [input]) }
    #expect(folder.names == ["in.bin", "out.bin"])
  }

  @Test func `a missing folder, a folder and a device are refused by the final name`() throws {
    #expect(throws: FileError(operation: "create the file", path: "/nowhere/x", code: ENOENT)) {
      _ = try AtomicFile(path: "/nowhere/x")
    }
    #expect(throws: FileError.self) { _ = try AtomicFile(path: folder.path) }
    #expect(throws: FileError.self) { _ = try AtomicFile(path: "/dev/full") }
  }

  @Test func `a set appears together, and not at all where one rename fails`() throws {
    let commit = {
      var set = AtomicFileSet()
      for name in ["a", "b"] {
        var file = try AtomicFile(path: "\(folder.path)/\(name)")
        try file.write(Array(name.utf8))
        try set.add(file)
      }
      #expect(folder.names.allSatisfy { $0.hasPrefix(".partial-") })
      // A folder in the way of the second name makes its rename fail.
      try FileManager.default.createDirectory(
        atPath: "\(folder.path)/b",
        withIntermediateDirectories: false
      )
      try set.commit()
    }
    #expect(throws: FileError.self) { try commit() }
    #expect(folder.names == ["b"])
  }
}
