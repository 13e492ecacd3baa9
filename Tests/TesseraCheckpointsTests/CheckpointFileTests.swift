import Fixtures
import TesseraCheckpoints
import TesseraCore
import Testing

@Suite struct CheckpointFileTests {
  private func info(_ name: String, _ type: ElementType, _ shape: Shape) -> TensorInfo {
    TensorInfo(name: name, elementType: type, shape: shape)
  }

  @Test(arguments: [
    ("a.safetensors", CheckpointFormat.safetensors), ("a.npz", .npz), ("a.h5", .hdf5),
    ("a.weights.h5", .kerasWeights), ("a.pt", .pytorch), ("pytorch_model.bin", .pytorch),
    ("a.gguf", .gguf),
  ])
  func `the ending of a name says the format`(path: String, format: CheckpointFormat) {
    #expect(CheckpointFormat(path: path) == format)
    #expect(CheckpointFormat(path: format.usualFileName) == format)
  }

  @Test(arguments: CheckpointFormat.allCases)
  func `data may come in any order and give the same bytes`(format: CheckpointFormat) throws {
    let folder = try TemporaryFolder()
    let tensors = ["layers/b/vars/0", "layers/a/vars/0"].map { info($0, .float32, [4, 8]) }
    let metadata = ["note": "same"]
    let layout = try format.layout(of: tensors, metadata: metadata)
    #expect(layout.tensors.count == 2)
    let bytes = (0..<128).map { UInt8($0) }
    for (name, pieces) in [("x", [0..<128]), ("y", [64..<128, 0..<32, 32..<64])] {
      var file = try CheckpointFile(path: "\(folder.path)/\(name)", layout: layout)
      for index in name == "x" ? [0, 1] : [1, 0] {
        for piece in pieces {
          try bytes[piece].withUnsafeBytes {
            try file.write($0, at: piece.lowerBound, of: index)
          }
        }
      }
      #expect(!folder.names.contains(name))
      try file.commit(metadata: metadata)
    }
    #expect(folder.names == ["x", "y"])
    let first = try #require(folder.bytes(of: "x"))
    #expect(folder.bytes(of: "y") == first)
  }

  @Test func `whole tensors are written in one call and read back`() throws {
    let folder = try TemporaryFolder()
    let tensor = Tensor(shape: [2, 2], floats: [1, 2, 3, 4])
    for name in ["x.safetensors", "x.h5"] {
      let path = "\(folder.path)/\(name)"
      try CheckpointFile.write([("a/b", tensor)], to: path, metadata: ["who": "me"])
      let checkpoint = try Checkpoint.open(path)
      #expect(checkpoint.attributes["who"] == "me")
      #expect(checkpoint.tensors == [info("a/b", .float32, [2, 2])])
      var read = [UInt8](repeating: 0, count: 16)
      try read.withUnsafeMutableBytes {
        try checkpoint.read(0..<4, of: checkpoint.tensors[0], into: $0)
      }
      #expect(read == tensor.bytes)
    }
    #expect(throws: TesseraError.self) {
      try CheckpointFile.write([("a", tensor)], to: "\(folder.path)/x.unknown")
    }
  }

  @Test func `an abandoned file leaves nothing behind`() throws {
    let folder = try TemporaryFolder()
    for format in CheckpointFormat.allCases {
      let layout = try format.layout(of: [info("a/vars/0", .float32, [3])], metadata: [:])
      _ = try CheckpointFile(path: "\(folder.path)/x", layout: layout)
    }
    #expect(folder.names == [])
  }

  @Test func `blocks of Q8_0 are as ggml's reference makes them`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/x.gguf"
    let options = GGUFOptions(quantized: ["w"])
    let layout = try CheckpointFormat.gguf.layout(
      of: [info("w", .float32, [1, 32])],
      metadata: [:],
      gguf: options
    )
    // The greatest magnitude is 127, so the scale is 1; halves round away from zero.
    var values = [Float](repeating: 0, count: 32)
    values.replaceSubrange(0..<6, with: [127, -127, 0.5, -0.5, 2.5, 2.4])
    var file = try CheckpointFile(path: path, layout: layout)
    let start = try #require(file.entries.first).bytes.lowerBound
    #expect(file.entries.first?.encoding == .q8_0)
    try values.withUnsafeBytes { try file.write($0, at: 0, of: 0) }
    try file.commit(metadata: [:])
    let bytes = try #require(folder.bytes(of: "x.gguf"))
    let one: [UInt8] = [0, 0x3C]
    #expect(Array(bytes[start..<start + 8]) == one + [127, 129, 1, 255, 3, 2])
    #expect(throws: TesseraError.self) {
      var file = try CheckpointFile(path: path, layout: layout)
      try [Float](repeating: .nan, count: 32).withUnsafeBytes { try file.write($0, at: 0, of: 0) }
    }
  }
}
