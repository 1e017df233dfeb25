# vit22b_texts(TARGET NAME FOLDER ENDING): the files FOLDER/*.ENDING as texts inside TARGET, by their names without the ending:
# what NAME_texts() gives, of cmake/NAME_texts.cpp.in.
function(vit22b_texts target name folder ending)
  file(GLOB files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.${ending}")
  set(VIT22B_TEXT_ROWS "")
  foreach(file ${files})
    get_filename_component(key "${file}" NAME_WE)
    file(READ "${file}" text)
    string(APPEND VIT22B_TEXT_ROWS "      {\"${key}\", R\"text(${text})text\"},\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  endforeach()
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}_texts.cpp.in" "${CMAKE_BINARY_DIR}/${name}_texts.cpp" @ONLY)
  target_sources(${target} PRIVATE "${CMAKE_BINARY_DIR}/${name}_texts.cpp")
endfunction()

# The devices that `vit22b plan` knows by name, and a GPU's peak by its driver's.
vit22b_texts(vit22b_core device configs/devices toml)
# The classes of ImageNet classifiers, and their notice beside the program.
vit22b_texts(vit22b_data name src/data/names txt)
install(FILES src/data/names/NOTICE DESTINATION share/doc/vit22b RENAME class-names-notice)
