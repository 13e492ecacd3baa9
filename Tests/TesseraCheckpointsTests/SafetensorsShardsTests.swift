import Fixtures
import Foundation
import TesseraCheckpoints
import TesseraCore
import Testing

@Suite struct SafetensorsShardsTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    for (name, file) in [("a", "one.safetensors"), ("b", "two.safetensors")] {
      try shard(name, file)
    }
  }

  @discardableResult private func shard(_ tensor: String, _ file: String) throws -> String {
    let header = #"{"\#(tensor)":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
    let bytes = [UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(header.utf8) + [7]
    return try folder.write(bytes, to: file)
  }

  private func index(_ map: String, metadata: String = #"{"total_size":2}"#) throws -> String {
    let text = #"{"metadata":\#(metadata),"weight_map":\#(map)}"#
    return try folder.write(Array(text.utf8), to: "model.safetensors.index.json")
  }

  @Test func `an index, or the folder that holds it, opens all shards`() throws {
    let path = try index(#"{"b":"two.safetensors","a":"one.safetensors"}"#)
    for path in [path, folder.path] {
      let checkpoint = try Checkpoint.open(path)
      #expect(checkpoint.format == "safetensors")
      #expect(checkpoint.tensors.map(\.name) == ["a", "b"])
      #expect(checkpoint.attributes["total_size"] == "2")
    }
  }

  @Test(arguments: [
    (#"{"a":"one.safetensors"}"#, "No such file or directory", false),
    (#"{"a":"one.safetensors","b":"one.safetensors"}"#, "does not hold it", true),
    (#"{"a":"two.safetensors","b":"two.safetensors"}"#, "does not hold it", true),
    (#"{"a":"one.safetensors","c":"two.safetensors"}"#, "not in the weight_map", true),
    (#"{"a":"two.safetensors","b":"one.safetensors"}"#, "the weight_map says", true),
    (#"{"a":"../one.safetensors"}"#, "in the folder of the index", true),
    (#"{"a":"/etc/passwd"}"#, "in the folder of the index", true),
    (#"{"a":".."}"#, "in the folder of the index", true),
    (#"{"a":""}"#, "in the folder of the index", true),
    (#"{"a":"one.safetensors","a":"two.safetensors"}"#, "occurs twice", true),
    (#"{"a":1}"#, "expected", true),
  ])
  func `an index that disagrees with its shards is refused`(
    map: String,
    says: String,
    isMalformed: Bool
  ) throws {
    // The first case has a shard that is not there.
    let map = isMalformed ? map : #"{"a":"missing.safetensors"}"#
    let path = try index(map)
    let error = #expect(throws: (any Error).self) { try SafetensorsCheckpoint(path: path) }
    #expect("\(try #require(error))".contains(says), "\(String(describing: error))")
    #expect(((error as? TesseraError)?.kind == .malformedInput) == isMalformed)
  }

  @Test func `a link that leaves the folder is refused`() throws {
    let elsewhere = try TemporaryFolder()
    let target = try elsewhere.write(folder.bytes(of: "one.safetensors") ?? [], to: "x.bin")
    try FileManager.default.createSymbolicLink(
      atPath: "\(folder.path)/link.safetensors",
      withDestinationPath: target
    )
    let path = try index(#"{"a":"link.safetensors"}"#)
    let error = #expect(throws: TesseraError.self) {
      try SafetensorsCheckpoint(path: path)
    }
    #expect(try #require(error).cause.contains("leaves the folder"))
  }

  @Test func `the links of the download cache are followed`() throws {
    let manager = FileManager.default
    let snapshot = "\(folder.path)/snapshots/abc"
    for path in [snapshot, "\(folder.path)/blobs"] {
      try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    try manager.moveItem(
      atPath: "\(folder.path)/one.safetensors",
      toPath: "\(folder.path)/blobs/ff"
    )
    try manager.createSymbolicLink(
      atPath: "\(snapshot)/one.safetensors",
      withDestinationPath: "../../blobs/ff"
    )
    let text = #"{"weight_map":{"a":"one.safetensors"}}"#
    try Data(text.utf8).write(to: URL(filePath: "\(snapshot)/model.safetensors.index.json"))
    #expect(try Checkpoint.open(snapshot).tensors.map(\.name) == ["a"])
  }

  @Test func `what is no checkpoint is named`() throws {
    let picture = try folder.write([0xFF, 0xD8, 0xFF, 0xE0], to: "x.safetensor")
    let error = #expect(throws: TesseraError.self) { try Checkpoint.open(picture) }
    #expect(try #require(error).description.contains("a JPEG file"))
    let empty = try TemporaryFolder()
    #expect(throws: TesseraError.self) { try Checkpoint.open(empty.path) }
    #expect(throws: TesseraError.self) { try Checkpoint.open("\(empty.path)/missing") }
    // Two files and no index: which one is meant is not guessed.
    #expect(throws: TesseraError.self) { try Checkpoint.open(folder.path) }
  }
}
