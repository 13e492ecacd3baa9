package import CHDF5

/// What another HDF5 file takes over from one beside the data: groups, and attributes with their types.
package struct HDF5AttributeCopy: Sendable {
  /// An object of the source, and the path of the one that takes its attributes; the root's is empty.
  struct Object: Sendable {
    let file: HDF5File
    let source: String
    let target: String
    /// Names that are left out: those that other files cannot hold, and the program's own.
    let omitted: Set<String>
  }

  /// The paths of the groups, empty ones among them.
  package let groups: [String]
  /// The attributes that are not taken over, as `path@name`.
  package let omitted: [String]
  private let objects: [Object]

  init(groups: [String], objects: [Object], omitted: [String]) {
    (self.groups, self.objects, self.omitted) = (groups, objects, omitted)
  }

  /// The copy for a part of the tensors under other names, by their names in the source.
  ///
  /// Groups belong to names as they were: where one changes, they and their attributes are left out.
  package func selecting(_ names: [String: String], of datasets: Set<String>) -> HDF5AttributeCopy {
    let isRenaming = names.contains { $0.key != $0.value }
    var (kept, left): ([Object], [Object]) = ([], [])
    for object in objects {
      if let name = names[object.source] {
        kept.append(
          Object(file: object.file, source: object.source, target: name, omitted: object.omitted)
        )
      } else if datasets.contains(object.source) || isRenaming && !object.source.isEmpty {
        left.append(object)
      } else {
        kept.append(object)
      }
    }
    let paths = left.filter { !datasets.contains($0.source) }.map { "\($0.source)@…" }
    return HDF5AttributeCopy(
      groups: isRenaming ? [] : groups,
      objects: kept,
      omitted: omitted + paths
    )
  }

  /// Copies the attributes into an open file, in `HDF5.perform`.
  ///
  /// - Returns: The path of the object at which the library failed; nil where all are there.
  package func copy(to file: hid_t) -> String? {
    for object in objects {
      let (source, target) = (
        object.source.isEmpty ? "/" : object.source,
        object.target.isEmpty ? "/" : object.target
      )
      // Groups that no tensor of the result is in may not be there.
      if target != "/", unsafe !chdf5_has_object(file, target) { continue }
      var omitted = object.omitted
      let isDone = unsafe withUnsafeMutablePointer(to: &omitted) { pointer in
        unsafe chdf5_copy_attributes(
          object.file.identifier,
          source,
          file,
          target,
          UnsafeMutableRawPointer(pointer)
        ) { context, bytes, count, _ in
          guard let omitted = unsafe context?.assumingMemoryBound(to: Set<String>.self) else {
            return false
          }
          let text = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
          guard let name = unsafe String(validating: text, as: UTF8.self) else { return true }
          return unsafe !omitted.pointee.contains(name) && !name.hasPrefix("tessera.")
        }
      }
      guard isDone else { return "\(source)" }
    }
    return nil
  }
}

/// A checkpoint whose attributes another file of its kind can take over.
package protocol AttributeCopying: CheckpointReader {
  /// What is taken over; nil where the tensors are not those of an HDF5 file.
  var attributeCopy: HDF5AttributeCopy? { get }
}
