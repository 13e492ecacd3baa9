import Fixtures
import TesseraCheckpoints
import TesseraCore
import Testing

@Suite struct SafetensorsLayoutTests {
  private func tensor(_ name: String, _ type: ElementType, _ shape: Shape) -> TensorInfo {
    TensorInfo(name: name, elementType: type, shape: shape)
  }

  /// Made by `safetensors.numpy.save({"b": f32 [2], "a": u8 [3], "c\n": f32 []}, {"format": "pt"})`.
  @Test func `order, JSON and padding are the reference writer's`() throws {
    let layout = try SafetensorsLayout(
      tensors: [tensor("a", .uint8, [3]), tensor("c\n", .float32, []), tensor("b", .float32, [2])],
      metadata: ["format": "pt"]
    )
    let text = String(decoding: layout.header.dropFirst(8), as: UTF8.self)
    #expect(
      text == #"{"__metadata__":{"format":"pt"},"#
        + #""b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#
        + #""c\n":{"dtype":"F32","shape":[],"data_offsets":[8,12]},"#
        + #""a":{"dtype":"U8","shape":[3],"data_offsets":[12,15]}}"# + "      "
    )
    #expect(layout.header[0] == UInt8(text.utf8.count))
    #expect(layout.entries.map(\.tensor.name) == ["b", "c\n", "a"])
    #expect(layout.fileSize == layout.header.count + 15)
  }

  @Test func `what the format cannot hold is refused by name`() {
    for (tensors, says) in [
      ([tensor("x", .complex128, [1])], "x: safetensors has no type for C128"),
      ([tensor("x", .uint8, [1]), tensor("x", .uint8, [2])], "x: two tensors of this name"),
      ([tensor("__metadata__", .uint8, [1])], "__metadata__: a reserved name"),
      ([tensor("x", .float4, [3])], "x: [3] is no whole number of bytes"),
    ] {
      let error = #expect(throws: TesseraError.self) {
        try SafetensorsLayout(tensors: tensors, metadata: [:])
      }
      #expect(error?.description == says)
    }
  }

  @Test func `tensors fill shards in order and a large one stands alone`() throws {
    let tensors = [4, 4, 9, 1, 4].enumerated().map { tensor("t\($0)", .uint8, [$1]) }
    let sharding = SafetensorsSharding(tensors, byteLimit: 8)
    #expect(sharding.shards.map { $0.map(\.name) } == [["t0", "t1"], ["t2"], ["t3", "t4"]])
    #expect(sharding.path(of: 0, under: "a/m.safetensors") == "a/m-00001-of-00003.safetensors")
    #expect(sharding.indexPath(under: "a/m.safetensors") == "a/m.safetensors.index.json")
    #expect(SafetensorsSharding(tensors, byteLimit: nil).indexPath(under: "m.safetensors") == nil)
  }

  @Test func `what was written is read back`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/x.safetensors"
    let layout = try SafetensorsLayout(
      tensors: [tensor("a", .uint8, [2]), tensor("b", .uint16, [1])],
      metadata: [:]
    )
    let file = try SafetensorsFile(path: path, layout: layout)
    for (entry, bytes) in zip(layout.entries, [[1, 2], [3, 4]] as [[UInt8]]) {
      try bytes.withUnsafeBytes { try file.write($0, at: 0, of: entry) }
    }
    #expect(!folder.names.contains("x.safetensors"))
    try file.commit()
    let checkpoint = try SafetensorsCheckpoint(path: path)
    #expect(checkpoint.tensors == layout.entries.map(\.tensor))
    #expect(folder.bytes(of: "x.safetensors")?.suffix(4) == [1, 2, 3, 4])
  }
}
