// The entry that libFuzzer calls with each input: one reader, chosen by FUZZ_READER. Compiled into one module
// with the readers by run.sh, so it reaches them without files.

import Foundation
import Tensors

/// Opens an input and reads the first elements of each tensor, as a conversion would.
private func exercise(_ checkpoint: some CheckpointReader) throws {
  for tensor in checkpoint.tensors.prefix(64) {
    let count = min(tensor.shape.elementCount ?? 0, 4096)
    guard let size = tensor.elementType.byteCount(elements: count), count > 0 else { continue }
    var bytes = [UInt8](repeating: 0, count: size)
    try bytes.withUnsafeMutableBytes { try checkpoint.read(0..<count, of: tensor, into: $0) }
    // The last elements too: that is where an offset would leave the file.
    let end = tensor.shape.elementCount ?? 0
    let last = end - count..<end
    try bytes.withUnsafeMutableBytes { try checkpoint.read(last, of: tensor, into: $0) }
  }
}

private let readers: [String: @Sendable (FileRegion) throws -> Void] = [
  "pickle": { region in try exercise(TorchCheckpoint(region: region)) },
  "zip": { region in
    let archive = try ZipArchive(region: region)
    for member in archive.members.prefix(32) { _ = try archive.bytes(of: member, limit: 1 << 20) }
    if TorchArchive.pickleMember(of: archive) != nil {
      try exercise(TorchCheckpoint(archive: TorchArchive(archive: archive)))
    }
  },
  "safetensors": { region in
    let shard = try SafetensorsShard(region: region)
    for entry in shard.header.entries {
      let start = shard.dataStart + entry.bytes.lowerBound
      _ = try region.bytes(start..<start + min(64, entry.bytes.count))
    }
  },
  "gguf": { region in try exercise(GGUFCheckpoint(region: region)) },
  "npy": { region in try exercise(NumpyCheckpoint(region: region)) },
  "msgpack": { region in try exercise(FlaxCheckpoint(region: region)) },
  "onnx": { region in try exercise(ONNXCheckpoint(region: region)) },
]

private let reader: @Sendable (FileRegion) throws -> Void = {
  let name = ProcessInfo.processInfo.environment["FUZZ_READER"] ?? ""
  guard let reader = readers[name] else {
    fatalError("FUZZ_READER must be one of \(readers.keys.sorted().joined(separator: ", "))")
  }
  return reader
}()

/// Reads one input; only errors that the program would print may come out.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  do {
    try reader(FileRegion(bytes: bytes, name: "input"))
  } catch let error as any ClassifiedError {
    precondition(!error.description.contains("\n"), "an error is one line")
  } catch {
    fatalError("an error without a class: \(error)")
  }
  return 0
}
