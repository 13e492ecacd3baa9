internal import CSentencePiece
internal import TesseraCore

/// A SentencePiece model through its own library: the only file that calls the C++ target.
final class SentencePieceModel: Sendable {
  private let handle: Handle

  /// An open model, which tasks may share.
  ///
  /// The library's functions that are called here are const and keep their work to themselves; `deinit`
  /// alone closes the model, when no call can be under way.
  @safe private struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  /// The number of pieces.
  let size: Int

  /// The longest piece: the library's trie is built by recursion, a byte a level, and a text is compared
  /// with the pieces at each place.
  private static let longestPiece = 512

  /// Reads a model.
  init(_ bytes: [UInt8]) throws(TesseraError) {
    try Self.check(bytes)
    var error = [CChar](repeating: 0, count: 256)
    let pointer = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe csp_open(buffer.baseAddress, buffer.count, &error, error.count)
    }
    guard let pointer = unsafe pointer else {
      let text = error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw TesseraError.malformed(Self.neither + String(decoding: text, as: UTF8.self))
    }
    size = unsafe Int(csp_size(pointer))
    handle = unsafe Handle(pointer: pointer)
  }

  /// Refuses what the library reads without a check of its own: tables whose tries lead out of them,
  /// and pieces beyond its stack.
  private static func check(_ bytes: [UInt8]) throws(TesseraError) {
    var tables: [[UInt8]] = []
    do {
      var model = ProtobufFields(bytes[...], place: "model")
      while let field = try model.next() {
        // pieces, normalizer_spec, denormalizer_spec
        guard [1, 3, 5].contains(field.number) else { continue }
        var parts = ProtobufFields(field.bytes, place: "model")
        while let part = try parts.next() {
          if field.number == 1, part.number == 1, part.bytes.count > longestPiece {
            throw TesseraError.field("piece", "at most \(longestPiece) bytes")
          }
          if field.number != 1, part.number == 2, !part.bytes.isEmpty {
            tables.append(Array(part.bytes))
          }
        }
      }
    } catch let error as TesseraError where error.file.isEmpty {
      throw error
    } catch {
      throw TesseraError.malformed("\(Self.neither)its fields are damaged")
    }
    for table in tables { _ = try CompiledCharacters(table) }
  }

  private static let neither = "neither a tokenizer.json nor a SentencePiece model: "

  deinit { unsafe csp_close(handle.pointer) }

  /// The id of a piece by its name.
  func id(of name: String) -> Int? {
    guard !name.utf8.contains(0) else { return nil }
    let id = unsafe csp_id(handle.pointer, name)
    return id < 0 ? nil : Int(id)
  }

  /// The ids of a text.
  func encode(_ text: [UInt8]) throws(TesseraError) -> [Int32] {
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
      throw TesseraError.malformed("SentencePiece could not encode a text")
    }
    return ids
  }
}
