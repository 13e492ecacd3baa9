import Fixtures
import Foundation
import TesseraCore
import TesseraImages
import Testing

@Suite struct ImageInputsTests {
  /// A folder of its own for each test, removed by the last reference.
  final class Folder {
    let path: String

    init() throws {
      path = NSTemporaryDirectory() + "/tessera-inputs-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String = "x") throws {
      let file = URL(filePath: path + "/" + name)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(),
        withIntermediateDirectories: true
      )
      try Data(text.utf8).write(to: file)
    }
  }

  func keys(_ folder: Folder) throws -> [String] {
    try ImageInputs.collect([folder.path]).inputs.map(\.key)
  }

  @Test func `a folder is searched through in the order of the paths' bytes`() throws {
    let folder = try Folder()
    for name in ["b.JPG", "a/z.jpeg", "a.png", "B.jpg", "notes.txt", "a/c.dat"] {
      try folder.write(name)
    }
    let inputs = try ImageInputs.collect([folder.path + "/"]).inputs
    #expect(inputs.map(\.source) == ["B.jpg", "a.png", "a/z.jpeg", "b.JPG"])
    #expect(inputs.map(\.key) == ["B", "a", "a/z", "b"])
    #expect(try inputs[2].bytes(maximumBytes: 10) == Array("x".utf8))
  }

  @Test func `dots become underscores and colliding keys both take their extension`() throws {
    let folder = try Folder()
    for name in ["v1.2/a.b.jpg", "c.jpg", "c.png", "a_b.jpg", "a.b.jpg"] { try folder.write(name) }
    #expect(try keys(folder) == ["a_b_jpg", "a_b_jpg_2", "c_jpg", "c_png", "v1_2/a_b"])
  }

  @Test func `keys fit tar names that every reader takes`() throws {
    let folder = try Folder()
    try folder.write("größe.jpg")
    try folder.write(String(repeating: "n", count: 120) + ".jpg")
    let keys = try keys(folder)
    #expect(keys.contains("gr%C3%B6%C3%9Fe"))
    #expect(keys.allSatisfy { $0.utf8.count <= 83 && !$0.contains(".") })
    #expect(keys[1].hasPrefix(String(repeating: "n", count: 66) + "~"))
  }

  @Test func `a list names files by line and repeats get numbers`() throws {
    let folder = try Folder()
    try folder.write("p/a.jpg")
    try folder.write("list.txt", "p/a.jpg\r\n\n\(Fixtures.path("photos/home.jpg"))\np/a.jpg")
    let inputs = try ImageInputs.collect([folder.path + "/list.txt"]).inputs
    #expect(inputs.map(\.key).first == "p/a_jpg")
    #expect(inputs.map(\.key).last == "p/a_jpg_2")
    #expect(inputs[1].source.hasSuffix("fixtures/photos/home.jpg"))
    #expect(!inputs[1].source.hasPrefix("/"))
    #expect(try inputs[1].bytes(maximumBytes: 1 << 20).count == 32197)
  }

  @Test func `links that leave the folder are inputs that nobody may read`() throws {
    let folder = try Folder()
    try folder.write("in/a.jpg")
    let manager = FileManager.default
    try manager.createSymbolicLink(
      atPath: folder.path + "/in/out.jpg",
      withDestinationPath: Fixtures.path("photos/home.jpg")
    )
    try manager.createSymbolicLink(atPath: folder.path + "/in/b.jpg", withDestinationPath: "a.jpg")
    try manager.createSymbolicLink(atPath: folder.path + "/in/again", withDestinationPath: ".")
    let found = try ImageInputs.collect([folder.path])
    #expect(found.inputs.map(\.source) == ["in/a.jpg", "in/b.jpg", "in/out.jpg"])
    #expect(found.account.passedOver == [.linkedFolder: ["": 1]])
    #expect(try found.inputs[1].bytes(maximumBytes: 9).count == 1)
    #expect(throws: TesseraError.self) { try found.inputs[2].bytes(maximumBytes: 1 << 20) }
  }

  @Test func `a file above the cap is refused before it is read`() throws {
    let input = try ImageInputs.collect([Fixtures.path("photos/home.jpg")]).inputs[0]
    #expect(throws: TesseraError.self) { try input.bytes(maximumBytes: 32196) }
  }

  @Test func `nothing to do is an error`() throws {
    let folder = try Folder()
    #expect(throws: TesseraError.self) { try ImageInputs.collect([folder.path]) }
    #expect(throws: TesseraError.self) { try ImageInputs.collect([folder.path + "/none"]) }
  }

  /// `--format` is GNU tar's: every way in which it stores a name of more than 100 bytes.
  @Test(arguments: ["ustar", "gnu", "pax"])
  func `archives of every common layout are listed and read`(layout: String) throws {
    let folder = try Folder()
    let deep = String(repeating: "d", count: 80) + "/" + String(repeating: "f", count: 60) + ".jpg"
    try folder.write("in/" + deep, "deep")
    try folder.write("in/b.png", "second")
    try folder.write("in/b.json")
    let tar = Process()
    tar.executableURL = URL(filePath: "/usr/bin/env")
    let archive = folder.path + "/shard.tar"
    tar.arguments = ["tar", "-C", folder.path + "/in", "--sort=name", "--format=\(layout)", "-cf"]
    tar.arguments? += [archive, "."]
    try tar.run()
    tar.waitUntilExit()
    try #require(tar.terminationStatus == 0)

    let inputs = try ImageInputs.collect([archive]).inputs
    #expect(inputs.map(\.source) == ["shard.tar/b.png", "shard.tar/" + deep])
    #expect(inputs[0].key == "b")
    #expect(try inputs[0].bytes(maximumBytes: 100) == Array("second".utf8))
    #expect(try inputs[1].bytes(maximumBytes: 100) == Array("deep".utf8))
    let whole = try Data(contentsOf: URL(filePath: archive))
    try whole.prefix(1500).write(to: URL(filePath: archive))
    // Where the layouts' headers are cut decides whether the archive is damaged or holds no image.
    #expect(throws: (any Error).self) { try ImageInputs.collect([archive]) }
    var damaged = whole
    damaged[10] ^= 1
    try damaged.write(to: URL(filePath: archive))
    #expect(throws: TesseraError.self) { try ImageInputs.collect([archive]) }
  }
}
