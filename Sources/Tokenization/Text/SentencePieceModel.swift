internal import CSentencePiece

/// A SentencePiece model through its own library: the only file that calls the C++ target.
final class SentencePieceModel: Sendable {
  private let handle: Handle

  /// The library only reads an open model.
  @safe private struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  /// The number of pieces.
  let size: Int

  /// Reads a model.
  init(_ bytes: [UInt8]) throws(TextTokenizerError) {
    var error = [CChar](repeating: 0, count: 256)
    let pointer = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe csp_open(buffer.baseAddress, buffer.count, &error, error.count)
    }
    guard let pointer = unsafe pointer else {
      let text = error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw TextTokenizerError(
        source: "",
        reason: "neither a tokenizer.json nor a SentencePiece model: "
          + String(decoding: text, as: UTF8.self)
      )
    }
    size = unsafe Int(csp_size(pointer))
    handle = unsafe Handle(pointer: pointer)
  }

  deinit { unsafe csp_close(handle.pointer) }

  /// The id of a piece by its name.
  func id(of name: String) -> Int? {
    guard !name.utf8.contains(0) else { return nil }
    let id = unsafe csp_id(handle.pointer, name)
    return id < 0 ? nil : Int(id)
  }

  /// The ids of a text.
  func encode(_ text: [UInt8]) throws(TextTokenizerError) -> [Int32] {
    var ids: [Int32] = []
    let isEncoded = unsafe text.withUnsafeBytes { buffer in
      unsafe withUnsafeMutablePointer(to: &ids) { sink in
        unsafe csp_encode(
          handle.pointer,
          buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
          buffer.count,
          { sink, ids, count in
            guard let sink = unsafe sink, let ids = unsafe ids else { return }
            unsafe sink.assumingMemoryBound(to: [Int32].self).pointee
              .append(contentsOf: UnsafeBufferPointer(start: ids, count: count))
          },
          sink
        )
      }
    }
    guard isEncoded else {
      throw TextTokenizerError(source: "", reason: "SentencePiece could not encode a text")
    }
    return ids
  }
}
